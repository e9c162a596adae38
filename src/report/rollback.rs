//! What a rollback will do, before it does anything.

use serde_json::{Value as Json, json};

use super::head;
use super::style::{Look, clean, count, fit, one_line};
use crate::journal::{Became, Made, Undo};
use crate::run::{Rollback, Stays};
use crate::store::Vault;
use crate::wire::Request;

pub struct Plan<'a> {
    pub run: &'a str,
    pub workflow: &'a str,
    /// The checkpoint that it goes back to.
    pub to: Option<&'a str>,
    pub rollback: &'a Rollback,
    pub vault: &'a Vault,
}

impl Plan<'_> {
    pub fn text(&self, look: Look) -> String {
        let to = self.to.map(|to| format!(" to the checkpoint `{to}`"));
        let title = format!(
            "rollback of run {} of {}{}",
            self.run,
            self.workflow,
            to.unwrap_or_default()
        );
        let mut out = format!("{}\n", look.bold(&clean(&title)));
        let r = self.rollback;
        let lines = r.undoing.iter().map(|made| self.undone(made, look));
        section(&mut out, "undoes, from the top", lines.collect(), look);
        let open = r.open.iter().map(|made| {
            let line = format!("{}: {}", made.address, made.intent.request.line());
            format!("{} {}", look.yellow("?"), self.shown(&line))
        });
        section(
            &mut out,
            "finds out first whether these took effect, and then undoes them too",
            open.collect(),
            look,
        );
        let staying = r.staying.iter().map(|stay| {
            let why = match stay.stays {
                Stays::Adopted => "was found, not created",
                Stays::Presumed => {
                    "may be somebody else's: nothing proves that this run created it"
                }
                Stays::Protected => "is protected",
            };
            format!("{} {}: {why}", look.dim("·"), self.shown(&stay.address))
        });
        section(&mut out, "leaves", staying.collect(), look);
        let lasting = r.lasting.iter().map(|l| {
            let line = format!("{}: {} {}", l.address, l.verb.as_str(), l.path);
            format!("{} {}\n      {}", look.red("!"), self.shown(&line), l.why)
        });
        section(&mut out, "cannot undo", lasting.collect(), look);
        out.push_str(&format!("\n{}\n", self.summary()));
        out
    }

    fn undone(&self, made: &Made, look: Look) -> String {
        let broken = match made.became {
            Became::Broken { .. } => " (it failed, and left this)",
            _ => "",
        };
        let line = format!("{}: {}{broken}", made.address, what(made));
        match deletes(made) {
            true => format!("{} {}", look.red("-"), self.shown(&line)),
            false => format!("{} {}", look.yellow("~"), self.shown(&line)),
        }
    }

    fn summary(&self) -> String {
        let r = self.rollback;
        let parts = [
            (r.deletions(), "to delete"),
            (r.undoing.len() - r.deletions(), "to put back"),
            (r.open.len(), "to find out about"),
            (r.staying.len(), "to leave"),
            (r.lasting.len(), "that cannot be undone"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, words)| format!("{n} {words}"))
            .collect();
        match parts.is_empty() {
            true => "nothing to undo".into(),
            false => parts.join(", "),
        }
    }

    fn shown(&self, text: &str) -> String {
        one_line(&self.vault.mask(text))
    }

    /// A head, a line for each thing that is undone, stays or lasts, a summary.
    pub fn json(&self) -> Vec<Json> {
        let mut first = head("rollback");
        first["run"] = json!(self.run);
        first["workflow"] = json!(self.workflow);
        first["to"] = json!(self.to);
        let r = self.rollback;
        let mut lines = vec![first];
        lines.extend(r.undoing.iter().map(|made| {
            json!({
                "kind": "undo",
                "address": made.address,
                "call": made.intent.call,
                "request": request(made),
                "restores": restored(made),
                "destructive": deletes(made),
                "broken": matches!(made.became, Became::Broken { .. }),
            })
        }));
        lines.extend(r.open.iter().map(|made| {
            json!({ "kind": "open", "address": made.address, "request": made.intent.request })
        }));
        lines.extend(r.staying.iter().map(
            |stay| json!({ "kind": "stays", "address": stay.address, "why": stay.stays.as_str() }),
        ));
        lines.extend(r.lasting.iter().map(|l| {
            json!({
                "kind": "lasts",
                "address": l.address,
                "method": l.method,
                "verb": l.verb.as_str(),
                "path": l.path,
                "why": l.why,
            })
        }));
        lines.push(json!({
            "kind": "summary",
            "undoes": r.undoing.len(),
            "destroys": r.deletions(),
            "open": r.open.len(),
            "stays": r.staying.len(),
            "lasts": r.lasting.len(),
        }));
        lines
            .iter()
            .map(|line| self.vault.mask_json(line))
            .collect()
    }
}

fn section(out: &mut String, title: &str, lines: Vec<String>, look: Look) {
    if lines.is_empty() {
        return;
    }
    out.push_str(&format!("\n{}\n", look.dim(title)));
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
}

fn request(made: &Made) -> Option<&Request> {
    match made.undo.as_ref()? {
        Undo::Delete { delete, .. } => Some(delete),
        Undo::Request { request } => Some(request),
        Undo::Restore { .. } | Undo::Protected => None,
    }
}

fn restored(made: &Made) -> Option<&Json> {
    match made.undo.as_ref()? {
        Undo::Restore { fields, .. } => Some(fields),
        _ => None,
    }
}

fn deletes(made: &Made) -> bool {
    request(made).is_some_and(|r| r.verb == crate::wire::Verb::Delete)
}

fn what(made: &Made) -> String {
    match (request(made), restored(made)) {
        (Some(request), _) => request.line(),
        (None, Some(fields)) => {
            let line = format!("{} puts back {fields}", made.intent.request.line());
            fit(&line, 160)
        }
        (None, None) => String::new(),
    }
}

/// What became of it, for the run's last line.
pub fn outcome(undone: usize, kept: usize) -> String {
    match (undone, kept) {
        (0, 0) => "nothing was left to undo".into(),
        (n, 0) => format!("{} undone", count(n, "call")),
        (n, kept) => format!("{} undone, {kept} left as they are", count(n, "call")),
    }
}
