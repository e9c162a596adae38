//! What two plans of one flow say differently, step by step and field by field.
//!
//! Steps are compared by their addresses, so their order, and names that no step sees, count for nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::edit::{FieldChange, field_changes};
use super::plan_item::{PlanAction, PlanItem};

/// What a plan says of one step, secrets masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    action: PlanAction,
    /// Method, place and parameters of the request.
    target: Json,
    body: Json,
    /// What is there, and what the flow wants instead, by the path of the field.
    found: Map<String, Json>,
    wanted: Map<String, Json>,
    notes: Json,
}

/// A plan as it is compared.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub steps: BTreeMap<String, Planned>,
    /// Steps that fail already, each with why.
    pub fails: BTreeMap<String, String>,
}

/// What one plan makes of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// There is no such step.
    Absent,
    /// Something before it fails already, so nobody knows.
    Unreached,
    Does(PlanAction),
    Fails(String),
}

/// A step that one plan has otherwise than the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub address: String,
    pub old: Side,
    pub new: Side,
    pub fields: Vec<FieldChange>,
}

impl Plan {
    fn side(&self, address: &str) -> Side {
        if let Some(why) = self.fails.get(address) {
            return Side::Fails(why.clone());
        }
        match self.steps.get(address) {
            Some(step) => Side::Does(step.action),
            None if self.fails.is_empty() => Side::Absent,
            None => Side::Unreached,
        }
    }

    fn addresses(&self) -> impl Iterator<Item = &String> {
        self.steps.keys().chain(self.fails.keys())
    }
}

impl Planned {
    pub fn of(item: &PlanItem, mask: impl Fn(&Json) -> Json) -> Planned {
        let request = item.request.as_ref();
        let target = request.map(|r| json!({ "method": r.method, "path": r.path, "query": r.query, "headers": r.headers }));
        let side = |get: fn(&crate::catalog::compare::Difference) -> &Json| {
            let fields = item
                .differences
                .iter()
                .map(|d| (d.path.clone(), mask(get(d))));
            fields.collect()
        };
        Planned {
            action: item.action,
            target: mask(&target.unwrap_or_default()),
            body: mask(&request.and_then(|r| r.body.clone()).unwrap_or_default()),
            found: side(|d| &d.found),
            wanted: side(|d| &d.wanted),
            notes: mask(&json!(item.notes)),
        }
    }

    /// Whether some value of it only the run can tell.
    pub fn is_open(&self) -> bool {
        format!("{}{}", self.target, self.body).contains("(after ")
    }

    fn unlike(&self, new: &Planned) -> Vec<FieldChange> {
        let mut fields = field_changes(&self.body, &new.body);
        let requested: Vec<String> = fields.iter().map(|f| f.path.clone()).collect();
        for (path, wanted) in &new.wanted {
            let found = self
                .wanted
                .get(path)
                .or(new.found.get(path))
                .cloned()
                .unwrap_or_default();
            if found != *wanted && !requested.contains(path) {
                fields.push(FieldChange {
                    path: path.clone(),
                    old: found,
                    new: wanted.clone(),
                });
            }
        }
        let also = [
            ("request", &self.target, &new.target),
            ("note", &self.notes, &new.notes),
        ];
        for (name, old, new) in also {
            let below = |f: FieldChange| FieldChange {
                path: match f.path.starts_with('[') || f.path.is_empty() {
                    true => format!("{name}{}", f.path),
                    false => format!("{name}.{}", f.path),
                },
                ..f
            };
            fields.extend(field_changes(old, new).into_iter().map(below));
        }
        fields
    }
}

/// The steps that differ, by their addresses.
pub fn changes(old: &Plan, new: &Plan) -> Vec<Changed> {
    let mut all: Vec<&String> = old.addresses().chain(new.addresses()).collect();
    all.sort();
    all.dedup();
    let changed = |address: &String| {
        let sides = (old.side(address), new.side(address));
        let steps = (old.steps.get(address), new.steps.get(address));
        if sides.0 == sides.1 && steps.0 == steps.1 {
            return None;
        }
        let fields = match (&sides, steps) {
            ((Side::Does(_), Side::Does(_)), (Some(before), Some(after))) => before.unlike(after),
            _ => Vec::new(),
        };
        Some(Changed {
            address: address.clone(),
            old: sides.0,
            new: sides.1,
            fields: fields.into_iter().filter(|f| f.old != f.new).collect(),
        })
    };
    all.into_iter().filter_map(changed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(action: PlanAction, body: Json) -> Planned {
        Planned {
            action,
            target: json!({ "path": "p" }),
            body,
            found: Map::new(),
            wanted: Map::new(),
            notes: json!([]),
        }
    }

    fn plan(steps: &[(&str, Planned)]) -> Plan {
        let steps = steps.iter().map(|(a, p)| ((*a).to_owned(), p.clone()));
        Plan {
            steps: steps.collect(),
            fails: BTreeMap::new(),
        }
    }

    fn found(old: &[(&str, Planned)], new: &[(&str, Planned)]) -> Vec<Changed> {
        changes(&plan(old), &plan(new))
    }

    #[test]
    fn a_step_that_fails_is_told_and_what_stands_behind_it_is_not_gone() {
        let step = || planned(PlanAction::Create, Json::Null);
        let old = plan(&[("x", step()), ("y", step())]);
        let mut new = plan(&[]);
        new.fails.insert("x".into(), "it differs".into());
        let sides: Vec<Side> = changes(&old, &new).into_iter().map(|c| c.new).collect();
        assert_eq!(sides, [Side::Fails("it differs".into()), Side::Unreached]);
        assert_eq!(changes(&new, &new), []);
    }

    #[test]
    fn a_field_is_told_with_its_step_and_order_counts_for_nothing() {
        let one = planned(PlanAction::Create, json!({ "name": "a", "size": 1 }));
        let other = planned(PlanAction::Create, json!({ "name": "a", "size": 2 }));
        assert_eq!(
            found(
                &[("x", one.clone()), ("y", other.clone())],
                &[("y", other.clone()), ("x", one.clone())]
            ),
            []
        );
        let changed = found(&[("x", one.clone())], &[("x", other.clone())]);
        assert_eq!(changed.len(), 1);
        assert_eq!(
            changed[0].fields,
            [FieldChange {
                path: "size".into(),
                old: json!(1),
                new: json!(2)
            }]
        );
        let gone = found(&[("x", one.clone())], &[("y", one)]);
        assert_eq!((&gone[0].new, &gone[1].old), (&Side::Absent, &Side::Absent));
    }

    #[test]
    fn what_is_there_already_is_told_with_what_is_wanted() {
        let old = planned(PlanAction::Adopt, Json::Null);
        let mut new = planned(PlanAction::Update, Json::Null);
        new.found.insert("ttl".into(), json!(60));
        new.wanted.insert("ttl".into(), json!(300));
        let changed = found(&[("x", old)], &[("x", new)]);
        assert_eq!(
            changed[0].fields,
            [FieldChange {
                path: "ttl".into(),
                old: json!(60),
                new: json!(300)
            }]
        );
        let mut elsewhere = planned(PlanAction::Create, Json::Null);
        elsewhere.target = json!({ "path": "q" });
        let moved = found(
            &[("x", planned(PlanAction::Create, Json::Null))],
            &[("x", elsewhere)],
        );
        assert_eq!(moved[0].fields[0].path, "request.path");
    }
}
