//! What an edit makes of a run, for people and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Look, clean, count, head, one_line};
use crate::journal::EditVerdict;
use crate::run::edit::{Drift, Drifted, FieldChange, Reviewed};
use crate::store::Vault;

pub struct Review<'a> {
    pub run: &'a str,
    /// What it is compared with.
    pub flow: &'a str,
    pub lines: &'a [Reviewed],
    pub vault: &'a Vault,
}

/// How many differing fields of a step are shown to people.
const FIELDS: usize = 8;

impl Review<'_> {
    /// What changes, step by step; what stays is only counted.
    pub fn text(&self, look: Look) -> String {
        let mut out = format!("run {} and {}:\n", clean(self.run), clean(self.flow));
        for line in self.lines {
            let telling = !line.notes.is_empty() || line.from.is_some();
            match line.verdict {
                EditVerdict::Keep | EditVerdict::New if !telling => {}
                _ => self.line(line, look, &mut out),
            }
        }
        let counts: Vec<String> = self
            .counts()
            .into_iter()
            .map(|(verdict, n)| format!("{n} {}", verdict.as_str()))
            .collect();
        let total = count(self.lines.iter().filter(|l| is_step(l)).count(), "step");
        out.push_str(&format!("  {total}: {}\n", counts.join(", ")));
        out
    }

    fn line(&self, line: &Reviewed, look: Look, out: &mut String) {
        let plain = |text: &str| clean(&self.vault.mask(text));
        let word = format!("{:<10}", line.verdict.as_str());
        let word = match line.verdict {
            EditVerdict::Keep | EditVerdict::New => word,
            EditVerdict::Update => look.green(&word),
            EditVerdict::Redo | EditVerdict::Orphaned | EditVerdict::Forgotten => {
                look.yellow(&word)
            }
            EditVerdict::Decide => look.red(&word),
        };
        let from = line
            .from
            .as_ref()
            .map(|from| format!(" (was {})", plain(from)))
            .unwrap_or_default();
        let why = match line.why.is_empty() {
            true => String::new(),
            false => format!(": {}", plain(&line.why)),
        };
        out.push_str(&format!("  {word} {}{from}{why}\n", plain(&line.address)));
        fields(&line.fields, self.vault, out);
        for note in line.notes.iter().chain(&line.help) {
            out.push_str(&format!("             {}\n", plain(note)));
        }
    }

    /// A head, a line for each step, a summary.
    pub fn json(&self) -> Vec<Json> {
        let mut first = head("edit");
        first["run"] = json!(self.run);
        let mut lines = vec![first];
        lines.extend(self.lines.iter().filter(|l| is_step(l)).map(|line| {
            let fields: Vec<Json> = line
                .fields
                .iter()
                .map(|f| json!({ "path": f.path, "old": f.old, "new": f.new }))
                .collect();
            self.vault.mask_json(&json!({
                "kind": "verdict",
                "address": line.address,
                "from": line.from,
                "verdict": line.verdict.as_str(),
                "why": line.why,
                "fields": fields,
                "notes": line.notes,
                "help": line.help,
            }))
        }));
        let counts: serde_json::Map<String, Json> = self
            .counts()
            .into_iter()
            .map(|(verdict, n)| (verdict.as_str().to_owned(), json!(n)))
            .collect();
        lines.push(json!({ "kind": "verdicts", "counts": counts }));
        lines
    }

    fn counts(&self) -> BTreeMap<EditVerdict, usize> {
        let mut counts = BTreeMap::new();
        for line in self.lines.iter().filter(|l| is_step(l)) {
            *counts.entry(line.verdict).or_insert(0) += 1;
        }
        counts
    }
}

/// Records outside the flow's steps are carried along without a word.
fn is_step(line: &Reviewed) -> bool {
    !line.why.is_empty()
}

fn fields(all: &[FieldChange], vault: &Vault, out: &mut String) {
    let plain = |text: &str| clean(&vault.mask(text));
    for FieldChange { path, old, new } in all.iter().take(FIELDS) {
        let value = |json: &Json| one_line(&plain(&json.to_string()));
        let line = format!(
            "             {}: {} → {}\n",
            plain(path),
            value(old),
            value(new)
        );
        out.push_str(&line);
    }
    if all.len() > FIELDS {
        let more = count(all.len() - FIELDS, "more field");
        out.push_str(&format!("             and {more}\n"));
    }
}

/// The word for what became of a resource, and its story.
fn story(drift: &Drift) -> (&'static str, String) {
    match drift {
        Drift::Changed(_) => ("drifted", "somebody changed what the run wrote".into()),
        Drift::Remade => ("drifted", "another resource has its name now".into()),
        Drift::Gone => ("gone", "somebody removed it".into()),
        Drift::Unread(why) => ("unread", why.clone()),
    }
}

/// What somebody changed of what a run made.
pub fn drift_text(drifted: &[Drifted], vault: &Vault, look: Look) -> String {
    let mut out = String::from("since the run stood still:\n");
    for Drifted { address, drift } in drifted {
        let (word, why) = story(drift);
        let word = look.yellow(&format!("{word:<10}"));
        let why = clean(&vault.mask(&why));
        out.push_str(&format!(
            "  {word} {}: {why}\n",
            clean(&vault.mask(address))
        ));
        if let Drift::Changed(changed) = drift {
            fields(changed, vault, &mut out);
        }
    }
    out.push_str("  `--redo STEP` brings a step's resource back to what the flow says\n");
    out
}

/// The same as lines.
pub fn drift_json(drifted: &[Drifted], vault: &Vault) -> Vec<Json> {
    let lines = drifted.iter().map(|Drifted { address, drift }| {
        let (word, why) = story(drift);
        let fields: Vec<Json> = match drift {
            Drift::Changed(fields) => fields
                .iter()
                .map(|f| json!({ "path": f.path, "wanted": f.old, "found": f.new }))
                .collect(),
            _ => Vec::new(),
        };
        vault.mask_json(&json!({
            "kind": "drift",
            "address": address,
            "verdict": word,
            "why": why,
            "fields": fields,
        }))
    });
    std::iter::once(head("drift")).chain(lines).collect()
}
