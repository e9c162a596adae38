//! Full resource names: `projects/p/locations/l/services/s`, from their parts and back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A full resource name as its pattern describes it: `projects/{project}/locations/{location}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullName {
    pub pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Literal(Arc<str>),
    /// One segment, named after the literal before it: `location` after `locations`.
    Value(Arc<str>),
    /// The rest, slashes included.
    Rest(Arc<str>),
}

impl FullName {
    /// Reads `^projects/[^/]+/locations/[^/]+$`; `None` for patterns that name no path. A pattern that
    /// leaves the kind of parent open (`^[^/]+/[^/]+/services/[^/]+$`) is read as one of projects.
    pub(super) fn from_pattern(pattern: &str) -> Option<FullName> {
        let inner = pattern.strip_prefix('^')?.strip_suffix('$')?;
        let inner = match inner.strip_prefix("[^/]+/[^/]+") {
            Some(rest) => format!("projects/[^/]+{rest}"),
            None => inner.to_owned(),
        };
        let mut pieces: Vec<Piece> = Vec::new();
        // `[^/]` holds a slash of its own, which must not split.
        for part in inner.replace("[^/]", "\u{1}").split('/') {
            let before = match pieces.last() {
                Some(Piece::Literal(text)) => singular(text),
                _ => "name".to_owned(),
            };
            let piece = match part {
                "\u{1}+" => Piece::Value(before.into()),
                ".*" | ".+" => Piece::Rest(before.into()),
                text if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric()) => {
                    Piece::Literal(text.into())
                }
                _ => return None,
            };
            pieces.push(piece);
        }
        (pieces.len() > 1).then_some(FullName { pieces })
    }

    /// The names of its values, in order.
    pub fn values(&self) -> impl Iterator<Item = &Arc<str>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Value(name) | Piece::Rest(name) => Some(name),
        })
    }

    /// The name of the last value: what an id stands for.
    pub fn last(&self) -> Option<&Arc<str>> {
        self.values().last()
    }

    /// Puts the name together. `id` fills the last value; the error is the name of a missing value.
    pub fn compose(
        &self,
        values: &BTreeMap<Arc<str>, String>,
        id: Option<&str>,
    ) -> Result<String, Arc<str>> {
        let last = self.pieces.len().saturating_sub(1);
        let id_at = (0..self.pieces.len())
            .rev()
            .find(|i| !matches!(self.pieces[*i], Piece::Literal(_)))
            .unwrap_or(last);
        let mut parts: Vec<&str> = Vec::new();
        for (i, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(text) => parts.push(text),
                Piece::Value(name) | Piece::Rest(name) => match (id, values.get(name)) {
                    (Some(id), _) if i == id_at => parts.push(id),
                    (_, Some(value)) => parts.push(value),
                    _ => return Err(Arc::clone(name)),
                },
            }
        }
        Ok(parts.join("/"))
    }

    /// The name of what holds the resource: all before the last literal.
    pub fn parent(&self, values: &BTreeMap<Arc<str>, String>) -> Result<String, Arc<str>> {
        let end = self
            .pieces
            .iter()
            .rposition(|p| matches!(p, Piece::Literal(_)))
            .unwrap_or(0);
        let holder = FullName {
            pieces: self.pieces[..end].to_vec(),
        };
        holder.compose(values, None)
    }

    /// Takes a full name apart; `None` when it does not have this shape.
    pub fn parse(&self, name: &str) -> Option<BTreeMap<Arc<str>, String>> {
        let mut found = BTreeMap::new();
        let mut rest = Some(name);
        for piece in &self.pieces {
            let text = rest?;
            if let Piece::Rest(name) = piece {
                found.insert(Arc::clone(name), text.to_owned());
                rest = None;
                continue;
            }
            let (head, tail) = match text.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (text, None),
            };
            match piece {
                Piece::Literal(literal) if **literal != *head => return None,
                Piece::Value(_) if head.is_empty() => return None,
                Piece::Value(name) => {
                    found.insert(Arc::clone(name), head.to_owned());
                }
                Piece::Literal(_) | Piece::Rest(_) => {}
            }
            rest = tail;
        }
        rest.is_none().then_some(found)
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, piece) in self.pieces.iter().enumerate() {
            let slash = if i == 0 { "" } else { "/" };
            match piece {
                Piece::Literal(text) => write!(f, "{slash}{text}")?,
                Piece::Value(name) => write!(f, "{slash}{{{name}}}")?,
                Piece::Rest(name) => write!(f, "{slash}{{{name}…}}")?,
            }
        }
        Ok(())
    }
}

fn singular(plural: &str) -> String {
    if let Some(stem) = plural.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let stem = plural
        .strip_suffix("sses")
        .map(|stem| format!("{stem}ss"))
        .or_else(|| plural.strip_suffix('s').map(str::to_owned));
    stem.unwrap_or_else(|| plural.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_read_from_patterns() {
        let text = |pattern| FullName::from_pattern(pattern).map(|f| f.to_string());
        assert_eq!(
            text("^projects/[^/]+/locations/[^/]+/services/[^/]+$").as_deref(),
            Some("projects/{project}/locations/{location}/services/{service}")
        );
        assert_eq!(
            text("^[^/]+/[^/]+/services/[^/]+$").as_deref(),
            Some("projects/{project}/services/{service}")
        );
        assert_eq!(
            text("^projects/[^/]+/metricDescriptors/.*$").as_deref(),
            Some("projects/{project}/metricDescriptors/{metricDescriptor…}")
        );
        assert_eq!(text("[a-z]+"), None);
    }
}
