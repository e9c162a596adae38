//! The graph for machines; unlike the pictures it holds every line.

use serde_json::{Value as Json, json};

use super::shape::Kind;
use super::{Drawing, Line};
use crate::plan::Edge;
use crate::report::head;

impl Drawing {
    pub fn json(&self) -> Json {
        let mut out = head("graph");
        out["workflow"] = json!(self.workflow);
        out["nodes"] = self
            .shapes
            .iter()
            .map(|shape| {
                let (kind, action) = match shape.kind {
                    Kind::Step(action) => ("step", Some(action.as_str())),
                    Kind::Assert => ("assert", None),
                    Kind::Checkpoint => ("checkpoint", None),
                    Kind::Growth => ("growth", None),
                };
                json!({
                    "id": shape.address,
                    "kind": kind,
                    "action": action,
                    "title": shape.title,
                    "detail": shape.detail,
                    "destructive": shape.destructive,
                    "place": shape.place,
                    "group": shape.group,
                })
            })
            .collect();
        out["groups"] = self
            .groups
            .iter()
            .map(|group| json!({ "title": group.title, "parent": group.parent }))
            .collect();
        out["edges"] = self.lines.iter().map(|line| self.edge(line)).collect();
        out
    }

    fn edge(&self, line: &Line) -> Json {
        let why = match line.why {
            Edge::Data => "data",
            Edge::After => "after",
            Edge::Barrier => "barrier",
            Edge::Part => "part",
        };
        json!({
            "from": self.shapes[line.from].address,
            "to": self.shapes[line.to].address,
            "why": why,
        })
    }
}
