//! What another version of a library makes of a plan, for people and as JSON.

use serde_json::{Value as Json, json};

use super::{Look, clean, count, head, one_line};
use crate::run::edit::FieldChange;
use crate::run::plan_diff::{Changed, Side};

pub struct Upgrade<'a> {
    pub file: &'a str,
    /// Library and version, as they were asked for.
    pub old: &'a str,
    pub new: &'a str,
    pub changed: &'a [Changed],
    /// Steps with values that only the run can tell; these are not compared.
    pub open: &'a [String],
}

impl Upgrade<'_> {
    /// The steps that change, each with its fields.
    pub fn text(&self, look: Look) -> String {
        let mut out = format!(
            "the plan of {} with {} instead of {}:\n",
            clean(self.file),
            self.new,
            self.old
        );
        for step in self.changed {
            let word = match (&step.old, &step.new) {
                (Side::Absent, new) => look.green(&format!("new, {}", side(new))),
                (old, Side::Absent) => look.yellow(&format!("gone, was {}", side(old))),
                (Side::Does(old), Side::Does(new)) if old == new => look.yellow("changes"),
                (old, new @ Side::Fails(_)) => look.red(&format!("{} → {}", side(old), side(new))),
                (old, new) => look.yellow(&format!("{} → {}", side(old), side(new))),
            };
            out.push_str(&format!("  {}: {word}\n", clean(&step.address)));
            step.fields.iter().for_each(|field| line(field, &mut out));
        }
        match self.changed.len() {
            0 => out.push_str("  nothing changes\n"),
            n => out.push_str(&format!("  {} differently\n", count(n, "step"))),
        }
        if !self.open.is_empty() {
            let steps = count(self.open.len(), "step");
            out.push_str(&format!(
                "  {steps} with values that only the run brings, which no plan compares\n"
            ));
        }
        out
    }

    /// A line for each step that changes, and a summary; the heading comes before.
    pub fn json(&self) -> Vec<Json> {
        let step = |step: &Changed| {
            let fields: Vec<Json> = step
                .fields
                .iter()
                .map(|f| json!({ "path": f.path, "old": f.old, "new": f.new }))
                .collect();
            json!({
                "kind": "step",
                "address": step.address,
                "old": side(&step.old),
                "new": side(&step.new),
                "fields": fields,
            })
        };
        let last = json!({ "kind": "summary", "changes": self.changed.len(), "open": self.open });
        self.changed.iter().map(step).chain([last]).collect()
    }
}

/// The first line of the machine form.
pub fn heading(file: &str, old: &str, new: &str) -> Json {
    let mut first = head("lib diff");
    first["file"] = json!(file);
    first["old"] = json!(old);
    first["new"] = json!(new);
    first
}

fn side(side: &Side) -> String {
    match side {
        Side::Absent => "absent".into(),
        Side::Unreached => "not reached".into(),
        Side::Does(action) => action.as_str().into(),
        Side::Fails(why) => format!("fails: {}", one_line(why)),
    }
}

fn line(field: &FieldChange, out: &mut String) {
    let value = |json: &Json| one_line(&json.to_string());
    out.push_str(&format!(
        "      {}: {} → {}\n",
        clean(&field.path),
        value(&field.old),
        value(&field.new)
    ));
}

/// Whether a run that is under way can go on with the other version.
pub enum Outlook {
    /// It can, once the project has that version.
    Goes,
    /// This many steps could be meant in two ways.
    Undecided(usize),
    /// Not before the flow is changed.
    Errors,
    /// Nobody can tell.
    Unknown(String),
}

pub fn outlook_text(run: &str, outlook: &Outlook) -> String {
    match outlook {
        Outlook::Goes => format!(
            "  it can go on with it, once the project has that version: r5flow resume {run} --edited\n"
        ),
        Outlook::Undecided(n) => format!(
            "  {} could be meant in two ways: it goes on with it only when somebody says which; without `--edited` it goes \
             on as it is\n",
            count(*n, "step")
        ),
        Outlook::Errors => format!(
            "run {run}: it cannot go on with it before the flow is changed; r5flow resume {run} goes on as it began\n"
        ),
        Outlook::Unknown(why) => format!(
            "run {run}: what it would make of it cannot be told: {}\n",
            one_line(why)
        ),
    }
}

pub fn outlook_json(run: &str, outlook: &Outlook) -> Json {
    let (word, why) = match outlook {
        Outlook::Goes => ("goes", None),
        Outlook::Undecided(_) => ("undecided", None),
        Outlook::Errors => ("errors", None),
        Outlook::Unknown(why) => ("unknown", Some(why)),
    };
    json!({ "kind": "run", "run": run, "outlook": word, "why": why })
}
