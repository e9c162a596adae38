//! What a proof tells, for people and as JSON.

use serde_json::{Value as Json, json};

use super::proof::{Crash, Proof, Row, Tally};
use crate::report::{Look, clean, count};

/// How many differences are told in full.
const SHOWN: usize = 5;
/// How many lines of each side's requests are told.
const LINES: usize = 12;

impl Proof {
    /// Attempts of all kinds.
    pub fn total(&self) -> Tally {
        [self.reference, self.drawn, self.pairs, self.foreign]
            .into_iter()
            .fold(Tally::default(), |sum, t| Tally {
                tried: sum.tried + t.tried,
                same: sum.same + t.same,
                decisions: sum.decisions + t.decisions,
                kept: sum.kept + t.kept,
                differences: sum.differences + t.differences,
            })
    }

    /// `replay`: the command that tries a point again, without the point.
    pub fn text(&self, look: Look, replay: &str) -> String {
        let mut text = String::new();
        let mut step = "";
        for row in &self.rows {
            if row.step != step {
                step = &row.step;
                text.push_str(&format!("{}\n", look.bold(&clean(step))));
            }
            text.push_str(&row.line(look));
        }
        text.push('\n');
        for (name, tally) in [
            ("on the reference schedule", self.reference),
            ("on drawn schedules", self.drawn),
            ("two deaths in a row", self.pairs),
            ("somebody else on the same target", self.foreign),
        ] {
            if tally.tried > 0 {
                text.push_str(&format!("  {name:<34} {}\n", tally.words()));
            }
        }
        if self.unprotected > 0 {
            text.push_str(&format!(
                "  {} take no request id: late deliveries of them are not tried\n",
                count(self.unprotected, "change")
            ));
        }
        for crash in self.crashes.iter().take(SHOWN) {
            text.push_str(&crash.text(look, replay));
        }
        if self.crashes.len() > SHOWN {
            let more = self.crashes.len() - SHOWN;
            text.push_str(&format!("\n… and {more} more\n"));
        }
        let total = self.total();
        let verdict = format!("{} differences", total.differences);
        let verdict = match total.differences {
            0 => look.green(&verdict),
            _ => look.red(&verdict),
        };
        text.push_str(&format!(
            "\n{} disturbed in {} ways on {}: {verdict}\n",
            count(self.effects, "effect"),
            total.tried,
            count(self.schedules, "schedule"),
        ));
        text
    }

    /// One line a row, one a difference, and the summary.
    pub fn json(&self, replay: &str) -> Vec<Json> {
        let rows = self.rows.iter().map(Row::json);
        let crashes = self.crashes.iter().map(|c| c.json(replay));
        let summary = json!({
            "type": "summary",
            "effects": self.effects,
            "points": self.points,
            "schedules": self.schedules,
            "reference": self.reference.json(),
            "drawn": self.drawn.json(),
            "pairs": self.pairs.json(),
            "foreign": self.foreign.json(),
            "unprotected": self.unprotected,
            "differences": self.total().differences,
        });
        rows.chain(crashes).chain([summary]).collect()
    }
}

impl Tally {
    fn words(self) -> String {
        let mut parts = vec![format!("{} tried", self.tried)];
        let counted = [
            (self.same, "as undisturbed"),
            (self.kept, "kept their promises"),
            (self.decisions, "asked a person"),
            (self.differences, "differ"),
        ];
        let counted = counted.iter().filter(|(n, _)| *n > 0);
        parts.extend(counted.map(|(n, what)| format!("{n} {what}")));
        parts.join(", ")
    }

    fn json(self) -> Json {
        json!({
            "tried": self.tried,
            "same": self.same,
            "kept": self.kept,
            "decisions": self.decisions,
            "differences": self.differences,
        })
    }

    pub(super) fn verdict(self, look: Look) -> String {
        match (self.differences, self.decisions) {
            (0, 0) => look.green("ok"),
            (0, n) => look.green(&format!("ok, {n} asked a person")),
            (n, _) => look.red(&format!("{n} differ")),
        }
    }
}

impl Row {
    fn line(&self, look: Look) -> String {
        let label: String = clean(&self.label).chars().take(60).collect();
        format!(
            "  {:>5} {:<6} {label}\n        {:>4} tried  {}  {}\n",
            self.number,
            self.kind.as_str(),
            self.tally.tried,
            self.tally.verdict(look),
            look.dim(&self.fates.join("; ")),
        )
    }

    fn json(&self) -> Json {
        json!({
            "type": "effect",
            "number": self.number,
            "step": self.step,
            "kind": self.kind.as_str(),
            "effect": self.label,
            "fates": self.fates,
            "tally": self.tally.json(),
        })
    }
}

impl Crash {
    fn text(&self, look: Look, replay: &str) -> String {
        let mut text = format!("\n{} {}", look.red("differs:"), clean(&self.step));
        if !self.what.is_empty() {
            text.push_str(&format!(" {}", clean(&self.what)));
        }
        text.push_str(&format!("\n  {}\n", clean(&self.difference.what)));
        for (side, lines) in [
            ("undisturbed", &self.difference.wanted),
            ("this run", &self.difference.found),
        ] {
            text.push_str(&format!("  {side}:\n"));
            let shared = self
                .difference
                .wanted
                .iter()
                .zip(&self.difference.found)
                .take_while(|(a, b)| a == b)
                .count();
            if shared > 0 {
                text.push_str(&format!("    … {shared} as undisturbed\n"));
            }
            for line in lines.iter().skip(shared).take(LINES) {
                text.push_str(&format!("    {}\n", clean(line)));
            }
        }
        text.push_str(&format!("  again: {replay} --point {}\n", self.point));
        text
    }

    fn json(&self, replay: &str) -> Json {
        json!({
            "type": "difference",
            "point": self.point.to_string(),
            "step": self.step,
            "effect": self.what,
            "what": self.difference.what,
            "wanted": self.difference.wanted,
            "found": self.difference.found,
            "again": format!("{replay} --point {}", self.point),
        })
    }
}
