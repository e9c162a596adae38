//! The plan for people.

use serde_json::Value as Json;

use super::Plan;
use crate::report::failure;
use crate::report::style::{Look, clean, fit, one_line, span, wrapped};
use crate::run::{PlanAction, PlanItem};
use crate::world::Millis;

/// Lines of a body that are shown; the machine form has all of it.
const BODY: usize = 16;

impl Plan<'_> {
    pub fn text(&self, look: Look) -> String {
        let title = format!("plan of {} against {}", self.workflow, self.world);
        let mut out = format!("{}\n", look.bold(&clean(&title)));
        let names = self.items.iter().map(|i| i.address.chars().count()).max();
        let names = names.unwrap_or(0).min(40);
        for (n, wave) in self.waves().iter().enumerate() {
            out.push_str(&format!("\n{}\n", look.dim(&format!("wave {}", n + 1))));
            for item in wave {
                self.item(item, names, look, &mut out);
            }
        }
        self.blocks(&mut out, look);
        self.destructive(&mut out, look);
        self.lasts(&mut out, look);
        self.failures(&mut out, look);
        out.push_str(&format!("\n{}\n", self.summary()));
        self.time(&mut out, look);
        out
    }

    fn item(&self, item: &PlanItem, names: usize, look: Look, out: &mut String) {
        let address = self.shown(&item.address);
        let head = format!("{address:names$}  {:9}", item.action.as_str());
        let target = item.request.as_ref().map(|r| {
            let line = self.shown(&r.line());
            format!("{}  {}", clean(&r.method), look.dim(&line))
        });
        let took = self.durations.get(&item.address).filter(|d| d.0 >= 1000);
        let took = took.map(|d| format!("  {}", look.dim(&format!("~{}", span(*d)))));
        let line = format!(
            "  {} {}  {}{}",
            sign(item.action, look),
            painted(item.action, &head, look),
            target.unwrap_or_default(),
            took.unwrap_or_default()
        );
        out.push_str(&format!("{}\n", line.trim_end()));
        for difference in &item.differences {
            let (found, wanted) = (
                self.value(&difference.found),
                self.value(&difference.wanted),
            );
            let line = format!(
                "{}: {} → {}",
                clean(&difference.path),
                look.red(&found),
                look.green(&wanted)
            );
            out.push_str(&format!("        {line}\n"));
        }
        if item.differences.is_empty() {
            self.body(item, look, out);
        }
        for note in &item.notes {
            for line in wrapped(&self.shown(note), look.width.saturating_sub(8)) {
                out.push_str(&format!("        {line}\n"));
            }
        }
    }

    /// What would be sent, leaf by leaf.
    fn body(&self, item: &PlanItem, look: Look, out: &mut String) {
        let Some(body) = item.request.as_ref().and_then(|r| r.body.as_ref()) else {
            return;
        };
        let mut leaves = Vec::new();
        flatten("", &self.vault.mask_json(body), &mut leaves);
        for (path, value) in leaves.iter().take(BODY) {
            let room = look.width.saturating_sub(10);
            let line = fit(&one_line(&format!("{path}: {value}")), room);
            out.push_str(&format!("        {}\n", look.dim(&line)));
        }
        if let Some(more) = leaves.len().checked_sub(BODY).filter(|n| *n > 0) {
            let line = format!("… and {more} more; `--json` has all of them");
            out.push_str(&format!("        {}\n", look.dim(&line)));
        }
    }

    fn blocks(&self, out: &mut String, look: Look) {
        let open = self.open_blocks();
        if open.is_empty() {
            return;
        }
        out.push_str(&format!(
            "\n{}\n",
            look.dim("only the run can tell what these hold")
        ));
        for address in open {
            out.push_str(&format!("  {} {}\n", look.yellow("?"), clean(&address)));
        }
    }

    fn destructive(&self, out: &mut String, look: Look) {
        let all: Vec<&PlanItem> = self.items.iter().filter(|i| i.destroys()).collect();
        if all.is_empty() {
            return;
        }
        out.push_str(&format!("\n{}\n", look.red("destroys")));
        for item in all {
            let line = item.request.as_ref().map(|r| r.line()).unwrap_or_default();
            let line = format!("{}: {}", item.address, line);
            out.push_str(&format!("  {} {}\n", look.red("-"), self.shown(&line)));
        }
    }

    fn lasts(&self, out: &mut String, look: Look) {
        let names: Vec<String> = self
            .lasting()
            .iter()
            .map(|i| self.shown(&i.address))
            .collect();
        if !names.is_empty() {
            let line = format!("a rollback could not undo {}", names.join(", "));
            out.push_str(&format!("\n{}\n", look.dim(&fit(&line, look.width))));
        }
    }

    fn failures(&self, out: &mut String, look: Look) {
        if self.end.failures.is_empty() {
            return;
        }
        out.push_str(&format!("\n{}\n", look.red("fails already")));
        for (address, failed) in &self.end.failures {
            out.push_str(&failure::text(
                address,
                failed,
                self.sources,
                self.vault,
                look,
            ));
        }
    }

    /// `2 to create, 1 to delete, 4 unchanged`
    fn summary(&self) -> String {
        let counts = self.counts();
        let part =
            |action: PlanAction, words: &str| counts.get(&action).map(|n| format!("{n} {words}"));
        let parts: Vec<String> = [
            part(PlanAction::Create, "to create"),
            part(PlanAction::Update, "to update"),
            part(PlanAction::Replace, "to replace"),
            part(PlanAction::Call, "to call"),
            part(PlanAction::Http, "to send"),
            part(PlanAction::Delete, "to delete"),
            part(PlanAction::Undecided, "undecided"),
            part(PlanAction::Approve, "to approve"),
            part(PlanAction::Adopt, "as wished already"),
        ]
        .into_iter()
        .flatten()
        .collect();
        match (self.changes(), parts.is_empty()) {
            (_, true) => "nothing to do".into(),
            (true, _) => parts.join(", "),
            (false, _) => format!("nothing to change: {}", parts.join(", ")),
        }
    }

    fn time(&self, out: &mut String, look: Look) {
        let Some(path) = self.estimate.filter(|p| p.length > Millis(0)) else {
            return;
        };
        let steps: Vec<String> = path
            .nodes
            .iter()
            .map(|n| &self.graph.node(*n).address)
            .filter(|address| self.durations.get(*address).is_some_and(|d| d.0 >= 1000))
            .map(|address| self.shown(address))
            .collect();
        out.push_str(&format!("about {}", span(path.length)));
        if !steps.is_empty() {
            out.push_str(&look.dim(&format!(", decided by {}", steps.join(" → "))));
        }
        out.push('\n');
    }

    fn shown(&self, text: &str) -> String {
        one_line(&self.vault.mask(text))
    }

    fn value(&self, json: &Json) -> String {
        match self.vault.mask_json(json) {
            Json::Null => "nothing".into(),
            json => one_line(&json.to_string()),
        }
    }
}

fn sign(action: PlanAction, look: Look) -> String {
    match action {
        PlanAction::Create => look.green("+"),
        PlanAction::Update => look.yellow("~"),
        PlanAction::Replace => look.red("±"),
        PlanAction::Delete => look.red("-"),
        PlanAction::Call | PlanAction::Http => look.cyan("!"),
        PlanAction::Undecided => look.yellow("?"),
        _ => look.dim("·"),
    }
}

fn painted(action: PlanAction, text: &str, look: Look) -> String {
    match action {
        PlanAction::Create => look.green(text),
        PlanAction::Update | PlanAction::Undecided => look.yellow(text),
        PlanAction::Replace | PlanAction::Delete => look.red(text),
        PlanAction::Call | PlanAction::Http => look.cyan(text),
        _ => text.to_owned(),
    }
}

/// Leaves with their paths: `properties.disks[0].boot`.
fn flatten(path: &str, json: &Json, out: &mut Vec<(String, String)>) {
    match json {
        Json::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{key}"), value, out);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (n, value) in items.iter().enumerate() {
                flatten(&format!("{path}[{n}]"), value, out);
            }
        }
        leaf => out.push((path.to_owned(), leaf.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_leaf_by_leaf() {
        let body = serde_json::json!({ "a": { "b": [1, { "c": "x" }] }, "empty": {} });
        let mut leaves = Vec::new();
        flatten("", &body, &mut leaves);
        let lines: Vec<String> = leaves.iter().map(|(p, v)| format!("{p}={v}")).collect();
        assert_eq!(lines, ["a.b[0]=1", "a.b[1].c=\"x\"", "empty={}"]);
    }
}
