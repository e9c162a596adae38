//! Steps that write over what earlier steps wrote: when those write again, so do they.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::step::cx::Cx;
use super::super::step::judge::writes_a_state;
use crate::catalog::Catalog;
use crate::journal::{Address, Meaning};
use crate::plan::NodeId;
use crate::syntax::ast::{ActionKind, Step};

/// What is written anew, by the path that it is written to.
#[derive(Default)]
pub struct Anew(HashMap<String, Vec<(NodeId, Address, Json)>>);

impl Anew {
    /// Notes what a step is going to write.
    pub fn note(&mut self, catalog: &Catalog, cx: &Cx<'_>, step: &Step, meaning: &Meaning) {
        if leaves_what_it_says(catalog, step) {
            let written = (cx.node, Arc::clone(&cx.address), meaning.body.clone());
            let there = self.0.entry(about(meaning).to_owned()).or_default();
            there.push(written);
        }
    }

    /// The step before this one that is going to write otherwise what this one has written.
    pub fn under(
        &self,
        catalog: &Catalog,
        cx: &Cx<'_>,
        step: &Step,
        meaning: &Meaning,
    ) -> Option<&Address> {
        let there = self.0.get(about(meaning))?;
        if !leaves_what_it_says(catalog, step) {
            return None;
        }
        let before = cx.shared.graph.borrow().all_before(cx.node);
        let mut otherwise = there
            .iter()
            .filter(|(_, _, body)| differ(body, &meaning.body));
        let (_, address, _) = otherwise.find(|(node, ..)| before.contains(node))?;
        Some(address)
    }
}

fn leaves_what_it_says(catalog: &Catalog, step: &Step) -> bool {
    matches!(step.action.kind, ActionKind::Ensure(_)) || writes_a_state(catalog, step)
}

/// The path of what a step writes, whatever it is written with.
fn about(meaning: &Meaning) -> &str {
    let (_, path) = meaning.target.split_once(' ').unwrap_or_default();
    path.split('?').next().unwrap_or(path)
}

/// Whether a field stands in both with two values.
fn differ(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => a
            .iter()
            .any(|(name, a)| b.get(name).is_some_and(|b| differ(a, b))),
        _ => a != b,
    }
}
