//! One line of a review, and what becomes of steps that the flow has no more.

use std::sync::Arc;

use serde_json::Value as Json;

use super::compare::FieldChange;
use super::recorded::took_effect;
use super::wishes::Wishes;
use crate::journal::{Address, Again, CarriedOver, EditVerdict, Meaning, StepState};
use crate::value::Value;

/// One line of the review.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// In the edited flow; of what the flow has no more: in the recorded one.
    pub address: Address,
    /// Where it was recorded, when that is another address.
    pub from: Option<Address>,
    pub verdict: EditVerdict,
    pub why: String,
    pub fields: Vec<FieldChange>,
    pub notes: Vec<String>,
    pub help: Option<String>,
    /// What it makes of the record; `None`: there is none.
    pub became: Option<CarriedOver>,
}

/// Why no step goes on from a record, when the flow does not name it any more.
pub const NOT_NAMED: &str = "the flow has it no more";

/// What no step goes on from, and why.
pub fn gone(address: &Address, state: &StepState, wishes: &Wishes, why: &str) -> Reviewed {
    let mut line = Reviewed::of(address, address, EditVerdict::Forgotten, "");
    if let Some(became) = &mut line.became {
        became.to = None;
    }
    let open = state.open_call().is_some();
    let ensured = state.calls.iter().any(|c| {
        let line = c.intent().request.verb;
        line != crate::wire::Verb::Delete
    });
    if open && !wishes.forget.contains(&**address) {
        line.decide(
            &format!("{why}, and nobody knows what became of its open call"),
            &format!(
                "`r5flow resume` without `--edited` settles it; `--forget {address}` leaves it unsettled"
            ),
        );
    } else if took_effect(state) && ensured && is_resource(state) {
        line.verdict = EditVerdict::Orphaned;
        line.why = format!("{why}; what it made stays in the cloud");
    } else {
        line.why = why.into();
    }
    line
}

/// Whether the step made or changed a resource of its own: an `ensure`.
fn is_resource(state: &StepState) -> bool {
    use crate::journal::{Outcome, Verdict};
    matches!(
        state.finished,
        Some((
            Outcome::Done {
                verdict: Verdict::Created | Verdict::Updated | Verdict::Replaced | Verdict::Adopted,
                ..
            },
            _
        ))
    )
}

impl Reviewed {
    pub fn of(address: &Address, from: &Address, verdict: EditVerdict, why: &str) -> Reviewed {
        Reviewed {
            address: Arc::clone(address),
            from: (address != from).then(|| Arc::clone(from)),
            verdict,
            why: why.to_owned(),
            fields: Vec::new(),
            notes: Vec::new(),
            help: None,
            became: Some(CarriedOver {
                from: Arc::clone(from),
                to: Some(Arc::clone(address)),
                verdict,
                again: None,
                meant: None,
            }),
        }
    }

    pub fn again(&mut self, again: Again, verdict: EditVerdict, why: String, meant: &Meaning) {
        self.verdict = verdict;
        self.why = why;
        if let Some(became) = &mut self.became {
            became.again = Some(again);
            became.verdict = verdict;
            became.meant = Some(meant.clone());
        }
    }

    pub fn compare_again(&mut self, meant: &Meaning) {
        if let Some(became) = &mut self.became {
            became.meant = Some(meant.clone());
        }
    }

    pub fn decide(&mut self, why: &str, help: &str) {
        self.verdict = EditVerdict::Decide;
        self.why = why.to_owned();
        self.help = Some(help.to_owned());
        if let Some(became) = &mut self.became {
            became.verdict = EditVerdict::Decide;
        }
    }
}

pub fn both_ways(address: &str) -> String {
    format!("`--redo {address}` does it as edited, `--keep {address}` lets it stand")
}

/// A recorded resource with what the flow writes now.
pub fn with(recorded: &Json, body: &Json) -> Value {
    fn over(old: &Json, new: &Json) -> Json {
        match (old, new) {
            (Json::Object(old), Json::Object(new)) => {
                let mut out = old.clone();
                for (name, value) in new {
                    let merged = old
                        .get(name)
                        .map_or_else(|| value.clone(), |o| over(o, value));
                    out.insert(name.clone(), merged);
                }
                Json::Object(out)
            }
            _ => new.clone(),
        }
    }
    Value::from_json(&over(recorded, body))
}

/// A resource that will be made anew: another incarnation of the same name.
pub fn remade(mut resource: Json) -> Value {
    for field in ["id", "uid", "createTime", "creationTimestamp"] {
        if let Some(old) = resource.get_mut(field).filter(|v| !v.is_null()) {
            *old = Json::String("another one".into());
        }
    }
    Value::from_json(&resource)
}
