//! What the flow allows, with a reason; and what it allows in vain.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::Told;
use crate::check::in_force;
use crate::diag::{Code, Diagnostic};
use crate::package::{ModuleId, Program};
use crate::plan::{Graph, NodeId, Work};
use crate::source::Span;
use crate::syntax::ast::{Clause, ClauseKind, Name, Policy, Step};

/// Every `allow` that was met, and whether it had to do.
pub struct Silences<'p> {
    program: &'p Program,
    /// The modules that the project itself uses.
    own: BTreeSet<ModuleId>,
    met: BTreeMap<Span, &'p Name>,
    needed: BTreeSet<Span>,
}

impl<'p> Silences<'p> {
    pub fn new(program: &'p Program) -> Silences<'p> {
        Silences {
            program,
            own: program.own(),
            met: BTreeMap::new(),
            needed: BTreeSet::new(),
        }
    }

    /// A policy was asked at a node: an `allow` around it is needed when there is, or may be, a finding.
    pub fn heard(&mut self, graph: &Graph<'p>, node: NodeId, policy: InForce<'p>, told: &Told) {
        if !told.findings.is_empty() || told.undecided {
            let needed: Vec<Span> = naming(graph, node, policy).collect();
            self.needed.extend(needed);
        }
    }

    /// Whether an `allow` at the step, or at a `run` step around it, silences the policy.
    pub fn silent(&self, graph: &Graph<'p>, node: NodeId, policy: InForce<'p>) -> bool {
        naming(graph, node, policy).any(|allow| self.counts(allow, policy))
    }

    /// The `allow` of a library that would silence the policy, if it counted.
    pub fn overruled(&self, graph: &Graph<'p>, node: NodeId, policy: InForce<'p>) -> Option<Span> {
        naming(graph, node, policy).find(|allow| !self.counts(*allow, policy))
    }

    /// What a library allows holds for policies that libraries bring along, and for none that the project itself
    /// put in force.
    fn counts(&self, allow: Span, (module, _): InForce<'p>) -> bool {
        self.program.library_of(allow.source).is_none() || !self.own.contains(&module)
    }

    /// All steps of a graph have been looked at.
    pub fn visited(&mut self, graph: &Graph<'p>) {
        for node in graph.nodes() {
            self.met
                .extend(allows(graph, node).map(|(name, span)| (span, name)));
        }
    }

    /// The `allow`s of policies in force that silence nothing, whatever the inputs are. Libraries are written
    /// for flows with other inputs.
    pub fn idle(&self) -> Vec<Diagnostic> {
        let shared = |span: Span| self.program.is_shared(span.source);
        let known = |name: &Name| in_force(self.program).any(|(_, p)| p.name.text == name.text);
        let idle = self
            .met
            .iter()
            .filter(|(span, name)| known(name) && !self.needed.contains(span) && !shared(**span));
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

/// A policy and the module that holds it.
type InForce<'p> = (ModuleId, &'p Policy);

/// The `allow`s around a node that name a policy.
fn naming<'p>(
    graph: &Graph<'p>,
    node: NodeId,
    (_, policy): InForce<'p>,
) -> impl Iterator<Item = Span> {
    allows(graph, node)
        .filter(|(name, _)| name.text == policy.name.text)
        .map(|(_, span)| span)
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
