//! Rules over what a program sends: the policies in force, over every body that is known.
//!
//! A rule sees bodies as the API will: with units converted, with what the flow leaves out filled in
//! from what is there or from the documented default, through `let`s, inputs and called workflows. What
//! only a run brings leaves a rule undecided; it is never a finding.
//!
//! ```text
//! of_text(checked)       every workflow of a file, as far as no input is needed
//! of_plan(checked, plan) one workflow with its inputs, and what was read
//! ```

mod bodies;
mod complete;
mod rule;
mod silence;
mod sketch;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Catalog;
use crate::check::{Checked, in_force};
use crate::diag::{Diagnostic, Sink};
use crate::plan::{Graph, Memo, NodeId, ScopeId};
use crate::value::Value;

use rule::Room;
use silence::Silences;

/// A graph, and what is known around it.
pub struct Scene<'s, 'p> {
    pub checked: &'s Checked<'p>,
    pub catalog: &'s Catalog,
    pub graph: &'s Graph<'p>,
    pub memo: &'s Memo,
    /// What was read of the resource that a step addresses; `null` when it is absent.
    pub seen: &'s BTreeMap<NodeId, Value>,
    /// Scopes that a run may not come to.
    unsure: BTreeSet<ScopeId>,
}

/// The findings of all policies in every workflow of the flow's file.
pub fn of_text(checked: &Checked<'_>, catalog: &Catalog) -> Vec<Diagnostic> {
    let mut sink = Sink::default();
    if in_force(checked.names.program).next().is_none() {
        return Vec::new();
    }
    let mut silences = Silences::new(checked.names.program);
    sketch::each(checked, catalog, &mut |scene| {
        look(scene, &|_| true, &mut silences, &mut sink);
    });
    sink.extend(silences.idle());
    sink.into_sorted()
}

/// The findings of all policies in a plan. What the steps that send nothing any more have sent counts for the others.
pub fn of_plan(
    checked: &Checked<'_>,
    catalog: &Catalog,
    graph: &Graph<'_>,
    memo: &Memo,
    seen: &BTreeMap<NodeId, Value>,
    sends: &dyn Fn(NodeId) -> bool,
) -> Vec<Diagnostic> {
    let mut sink = Sink::default();
    let scene = Scene {
        checked,
        catalog,
        graph,
        memo,
        seen,
        unsure: BTreeSet::new(),
    };
    let mut silences = Silences::new(checked.names.program);
    look(&scene, sends, &mut silences, &mut sink);
    sink.into_sorted()
}

/// Whether a program has policies at all.
pub fn any(checked: &Checked<'_>) -> bool {
    in_force(checked.names.program).next().is_some()
}

fn look<'p>(
    scene: &Scene<'_, 'p>,
    sends: &dyn Fn(NodeId) -> bool,
    silences: &mut Silences<'p>,
    sink: &mut Sink,
) {
    let room = Room::of(scene);
    for (module, policy) in in_force(scene.checked.names.program) {
        for subject in room.subjects(policy).into_iter().filter(|s| sends(s.node)) {
            let told = room.rules(module, policy, &subject);
            let (graph, node, in_force) = (scene.graph, subject.node, (module, policy));
            silences.heard(graph, node, in_force, &told);
            if !silences.silent(graph, node, in_force) {
                let overruled = silences.overruled(graph, node, in_force);
                sink.extend(told.findings.into_iter().map(|finding| match overruled {
                    Some(allow) => finding.related(
                        allow,
                        "a library cannot allow it; you can, at the step that runs it",
                    ),
                    None => finding,
                }));
            }
            sink.extend(told.broken);
        }
    }
    silences.visited(scene.graph);
}
