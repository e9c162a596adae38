//! How what runs on machines behaves: images that do not come up, and the load that autoscalers see.

use serde::{Deserialize, Serialize};

use super::Span;
use crate::world::Millis;

fn yes() -> bool {
    true
}

/// What boots from an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageBehaviour {
    /// Name or family of the image; `*` stands for anything. The first entry that fits counts.
    pub image: String,
    /// Whether it ever answers its health check.
    #[serde(default = "yes")]
    pub healthy: bool,
    /// It stops answering this long after it is up.
    #[serde(default)]
    pub fails_after: Option<Span>,
    /// In place of the duration `machine boot`.
    #[serde(default)]
    pub boots_in: Option<Span>,
    /// The Cloud SQL instance without which it does not answer.
    #[serde(default)]
    pub database: Option<String>,
}

/// The load on a group over time. One unit is what one machine does at full CPU; between two points
/// it changes evenly, after the last it stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Name of the managed group; `*` stands for anything.
    pub group: String,
    pub curve: Vec<Point>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Since the start of the cloud.
    pub at: Span,
    pub machines: f64,
}

impl Load {
    /// The load so long after the cloud's start.
    pub fn at(&self, since: Millis) -> f64 {
        let after = self.curve.iter().position(|p| p.at.0 > since);
        let last = self.curve.last().map_or(0.0, |p| p.machines);
        match after {
            None => last,
            Some(0) => self.curve.first().map_or(0.0, |p| p.machines),
            Some(i) => {
                let (a, b) = (&self.curve[i - 1], &self.curve[i]);
                let width = (b.at.0.0 - a.at.0.0).max(1) as f64;
                let part = (since.0 - a.at.0.0) as f64 / width;
                a.machines + (b.machines - a.machines) * part
            }
        }
    }

    /// When the curve ends.
    pub fn end(&self) -> Millis {
        self.curve.last().map_or(Millis(0), |p| p.at.0)
    }
}

/// Whether a text fits a pattern in which `*` stands for any run of characters.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("sm-1", "sm-1", true),
            ("sm-1", "sm-12", false),
            ("sm-*", "sm-12", true),
            ("*insert", "compute.images.insert", true),
            ("compute.*.insert", "compute.images.insert", true),
            ("compute.*.insert", "compute.images.delete", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_curve_rises_evenly() {
        let point = |minutes, machines| Point {
            at: Span(Millis::mins(minutes)),
            machines,
        };
        let load = Load {
            group: "*".into(),
            curve: vec![point(10, 1.0), point(20, 3.0)],
        };
        let at = |minutes| load.at(Millis::mins(minutes));
        assert_eq!(
            [at(0), at(10), at(15), at(20), at(99)],
            [1.0, 1.0, 2.0, 3.0, 3.0]
        );
    }
}
