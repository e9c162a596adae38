//! How a run ended, and how to go on.

use serde_json::{Value as Json, json};

use super::failure;
use super::style::{Look, clean, one_line, span};
use crate::journal::{CallState, RunStatus, State};
use crate::run::End;
use crate::source::SourceMap;
use crate::store::Vault;
use crate::world::Millis;

/// Longer than this an output takes several lines.
const LINE: usize = 100;

pub struct Ending<'a> {
    pub run: &'a str,
    pub end: &'a End,
    pub took: Millis,
    pub secret_outputs: &'a [String],
    pub sources: &'a SourceMap,
    /// What the journal tells now.
    pub state: &'a State,
    pub vault: &'a Vault,
    pub exit: u8,
    /// Options that a command about this run must repeat: ` --state DIR`.
    pub options: &'a str,
}

impl Ending<'_> {
    /// What belongs on standard output: the outputs. One that is too long for a line is laid out.
    pub fn outputs(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.end.outputs {
            let value = self.output(name, &value.to_json());
            let mut text = value.to_string();
            if name.len() + text.len() > LINE {
                text = serde_json::to_string_pretty(&value).unwrap_or(text);
            }
            out.push_str(&format!("{} = {}\n", clean(name), clean(&text)));
        }
        out
    }

    fn output(&self, name: &str, value: &Json) -> Json {
        match self.secret_outputs.iter().any(|s| s == name) {
            true => Json::String("•••".into()),
            false => self.vault.mask_json(value),
        }
    }

    /// Everything else.
    pub fn text(&self, look: Look) -> String {
        let mut out = String::new();
        for (address, failed) in &self.end.failures {
            out.push_str(&failure::text(
                address,
                failed,
                self.sources,
                self.vault,
                look,
            ));
        }
        for (address, operation) in self.running() {
            let line = format!("{address}: {operation} still runs in the cloud");
            out.push_str(&format!("{}\n", look.yellow(&clean(&line))));
        }
        let status = self.end.status.as_str();
        let status = match self.end.status {
            RunStatus::Done | RunStatus::RolledBack => look.green(status),
            RunStatus::Paused | RunStatus::Cancelled => look.yellow(status),
            _ => look.red(status),
        };
        let why = self
            .end
            .why
            .as_deref()
            .map(|w| format!(": {}", one_line(&self.vault.mask(w))));
        let why = why.unwrap_or_default();
        out.push_str(&format!(
            "run {} {status} after {}{why}\n",
            self.run,
            span(self.took)
        ));
        for line in self.next() {
            out.push_str(&format!("  {line}\n"));
        }
        out
    }

    /// Operations that were begun and not seen to their end.
    fn running(&self) -> Vec<(&str, &str)> {
        let steps = &self.state.steps;
        self.state
            .order
            .iter()
            .filter_map(|address| match steps.get(address)?.open_call()? {
                CallState::Running { operation, .. } => Some((&**address, operation.as_str())),
                _ => None,
            })
            .collect()
    }

    /// What to type now.
    fn next(&self) -> Vec<String> {
        let whole = self.state.is_rolled_back();
        if self.end.status == RunStatus::Done || whole {
            return Vec::new();
        }
        let options = self.options;
        let mut lines: Vec<String> = self
            .end
            .gates
            .iter()
            .map(|(address, _)| {
                format!(
                    "answer: r5flow approve {} '{}'{options}",
                    self.run,
                    clean(address)
                )
            })
            .collect();
        lines.push(format!("go on:  r5flow resume {}{options}", self.run));
        lines
    }

    /// The last line of the machine form, and the failures before it.
    pub fn json(&self) -> Vec<Json> {
        let mut lines: Vec<Json> = self
            .end
            .failures
            .iter()
            .map(|(address, failed)| failure::json(address, failed, self.vault))
            .collect();
        let outputs: serde_json::Map<String, Json> = self
            .end
            .outputs
            .iter()
            .map(|(name, value)| (name.clone(), self.output(name, &value.to_json())))
            .collect();
        let gates: Vec<&str> = self
            .end
            .gates
            .iter()
            .map(|(address, _)| &**address)
            .collect();
        let running = self.running();
        lines.push(json!({
            "kind": "end",
            "run": self.run,
            "status": self.end.status.as_str(),
            "exit": self.exit,
            "why": self.end.why.as_deref().map(|w| self.vault.mask(w)),
            "took_ms": self.took.0,
            "outputs": outputs,
            "gates": gates,
            "stopped_at": self.end.stopped_at,
            "running": running.iter().map(|(a, o)| json!({ "address": a, "operation": o })).collect::<Vec<_>>(),
        }));
        lines
    }
}
