//! What the flow allows, with a reason; and what it allows in vain.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::Told;
use crate::check::in_force;
use crate::diag::{Code, Diagnostic};
use crate::package::Program;
use crate::plan::{Graph, NodeId, Work};
use crate::source::Span;
use crate::syntax::ast::{Clause, ClauseKind, Name, Policy, Step};

/// Every `allow` that was met, and whether it had to do.
#[derive(Default)]
pub struct Silences<'p> {
    met: BTreeMap<Span, &'p Name>,
    needed: BTreeSet<Span>,
}

impl<'p> Silences<'p> {
    /// A policy was asked at a node: an `allow` around it is needed when there is, or may be, a finding.
    pub fn heard(&mut self, graph: &Graph<'p>, node: NodeId, policy: &'p Policy, told: &Told) {
        if !told.findings.is_empty() || told.undecided {
            let needed = allows(graph, node).filter(|(name, _)| name.text == policy.name.text);
            self.needed.extend(needed.map(|(_, span)| span));
        }
    }

    /// Whether an `allow` at the step, or at a `run` step around it, names the policy.
    pub fn silent(&self, graph: &Graph<'p>, node: NodeId, policy: &Policy) -> bool {
        allows(graph, node).any(|(name, _)| name.text == policy.name.text)
    }

    /// All steps of a graph have been looked at.
    pub fn visited(&mut self, graph: &Graph<'p>) {
        for node in graph.nodes() {
            self.met
                .extend(allows(graph, node).map(|(name, span)| (span, name)));
        }
    }

    /// The `allow`s of policies in force that silence nothing, whatever the inputs are. The library is
    /// written for flows with other inputs.
    pub fn idle(&self, program: &Program) -> Vec<Diagnostic> {
        let library = |span: Span| {
            let mut modules = program.modules.iter();
            modules.any(|m| m.source.id == span.source && m.path.starts_with("stdlib/"))
        };
        let known = |name: &Name| in_force(program).any(|(_, p)| p.name.text == name.text);
        let idle = self
            .met
            .iter()
            .filter(|(span, name)| known(name) && !self.needed.contains(span) && !library(**span));
        idle.map(|(span, name)| {
            Diagnostic::warning(
                Code::IDLE_ALLOW,
                *span,
                format!("`{}` has nothing to say here", name.text),
            )
            .help("remove the `allow`")
        })
        .collect()
    }
}

/// The `allow`s of a node's step and of the `run` steps around it.
fn allows<'p>(graph: &Graph<'p>, node: NodeId) -> impl Iterator<Item = (&'p Name, Span)> {
    let here = graph.node(node);
    let mut steps: Vec<&'p Step> = match here.work {
        Work::Step(step) | Work::Enter(step) => vec![step],
        _ => Vec::new(),
    };
    for scope in graph.outward(here.scope) {
        let frame = graph.frame(graph.scope(scope).frame);
        if let Some((step, _)) = frame.run_step()
            && frame.root == scope
        {
            steps.push(step);
        }
    }
    steps
        .into_iter()
        .flat_map(|step| step.clauses.iter().filter_map(allow))
}

fn allow(clause: &Clause) -> Option<(&Name, Span)> {
    match &clause.kind {
        ClauseKind::Allow { policy, .. } => Some((policy, policy.span)),
        _ => None,
    }
}
