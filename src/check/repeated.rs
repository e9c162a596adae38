//! An `ensure` that is one and the same resource in every iteration of a loop (rule C3).

use std::collections::BTreeSet;

use super::Checker;
use super::names::{BlockId, BlockKind, Flow, Meaning};
use crate::diag::{Code, Diagnostic};
use crate::syntax::ast::{self, ApiCall, ExprKind, Step};
use crate::syntax::walk;

impl<'p> Checker<'_, 'p> {
    /// Names and places of the resource have to tell the iterations apart.
    pub(super) fn repeated(
        &mut self,
        flow: &Flow<'p>,
        block: BlockId,
        step: &'p Step,
        call: &'p ApiCall,
    ) {
        let around: Vec<BlockId> = flow
            .ancestry(block)
            .filter(|id| matches!(flow.block(*id).kind, BlockKind::For(_)))
            .collect();
        if around.is_empty() {
            return;
        }
        let mut told = BTreeSet::new();
        for arg in &call.args {
            self.varies(flow, block, &arg.value, &mut told);
        }
        let locations = self.locations(flow, block);
        let given = |name: &str| {
            let mut names = call.args.iter().filter_map(|a| a.name.as_ref());
            names.any(|n| &*n.text == name)
        };
        for (value, home) in locations.iter().filter(|(n, _)| !given(n)).map(|(_, v)| v) {
            self.varies(flow, *home, value, &mut told);
        }
        let same = around.iter().find_map(|id| match flow.block(*id).kind {
            BlockKind::For(f) if !told.contains(id) && !is_once(&f.source) => Some(f),
            _ => None,
        });
        if let Some(f) = same {
            self.report(
                Diagnostic::error(
                    Code::SAME_RESOURCE_TWICE,
                    step.name.span,
                    format!("`{}` is one resource in every iteration", step.name.text),
                )
                .related(f.source.span, "the loop")
                .help(format!(
                    "let its name depend on `{}`, or move the step out of the loop",
                    f.first.text
                )),
            );
        }
    }

    /// The loops with which an expression may vary.
    fn varies(
        &self,
        flow: &Flow<'p>,
        block: BlockId,
        expr: &'p ast::Expr,
        told: &mut BTreeSet<BlockId>,
    ) {
        let mut names = Vec::new();
        walk::expr(expr, &mut |r| names.push(r.name));
        for name in names {
            match self.names.resolve(flow, block, name) {
                Some(Meaning::Loop { block: id, .. }) => {
                    if let (true, BlockKind::For(f)) = (told.insert(id), flow.block(id).kind)
                        && let Some(outer) = flow.block(id).parent
                    {
                        self.varies(flow, outer, &f.source, told);
                    }
                }
                Some(Meaning::Global(_)) | None => {}
                Some(_) => {
                    if let Some(symbol) = flow.symbol(name) {
                        told.extend(flow.ancestry(symbol.block));
                    }
                }
            }
        }
    }
}

/// A list that is written out with no more than one element.
fn is_once(source: &ast::Expr) -> bool {
    matches!(&*source.kind, ExprKind::List(items) if items.len() < 2)
}
