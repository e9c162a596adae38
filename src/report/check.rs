//! What `check` found.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::style::{Look, count};
use crate::diag::{Diagnostic, Severity, render};
use crate::source::SourceMap;

/// Findings over several programs; what two of them share is told once.
#[derive(Debug, Default)]
pub struct Findings {
    seen: BTreeSet<(String, String, String)>,
    pub files: usize,
    pub errors: usize,
    pub warnings: usize,
    pub advice: usize,
}

impl Findings {
    /// Takes one program's findings and gives back those that are new.
    pub fn add(&mut self, map: &SourceMap, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        self.files += 1;
        let mut fresh = Vec::with_capacity(found.len());
        for finding in found {
            let key = (
                map.place(finding.span),
                finding.code.to_string(),
                finding.message.clone(),
            );
            if !self.seen.insert(key) {
                continue;
            }
            match finding.severity {
                Severity::Error => self.errors += 1,
                Severity::Warning => self.warnings += 1,
                Severity::Advice => self.advice += 1,
            }
            fresh.push(finding);
        }
        fresh
    }

    /// The last line for people.
    pub fn summary(&self, look: Look) -> String {
        let files = count(self.files, "file");
        let (errors, warnings) = (count(self.errors, "error"), count(self.warnings, "warning"));
        match (self.errors, self.warnings) {
            (0, 0) => format!("{}: {files}\n", look.green("no mistakes")),
            (0, _) => format!("{}: {files}\n", look.yellow(&warnings)),
            (_, 0) => format!("{}: {files}\n", look.red(&errors)),
            (_, _) => format!(
                "{}, {}: {files}\n",
                look.red(&errors),
                look.yellow(&warnings)
            ),
        }
    }

    /// The last line for machines.
    pub fn summary_json(&self) -> Json {
        json!({
            "kind": "summary",
            "files": self.files,
            "errors": self.errors,
            "warnings": self.warnings,
            "advice": self.advice,
        })
    }
}

/// One finding for machines.
pub fn finding_json(map: &SourceMap, finding: &Diagnostic) -> Json {
    let mut out = json!({ "kind": "diagnostic" });
    if let (Json::Object(out), Json::Object(fields)) = (&mut out, render::json(map, finding)) {
        out.extend(fields);
    }
    out
}
