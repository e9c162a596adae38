//! The place in the flow that brought the field an API complains about.

use super::cx::Cx;
use crate::plan::{Trace, Work};
use crate::syntax::ast::{ActionKind, ApiCall, Step};
use crate::wire::error::ApiError;
use crate::wire::named;

/// `file:line:column-column` of what the flow wrote for the field that is wrong.
pub fn place(cx: &Cx<'_>, error: &ApiError) -> Option<String> {
    let Work::Step(step) = cx.work() else {
        return None;
    };
    let call = call_of(step)?;
    let words = super::target::path_text(&call.path);
    let catalog = &cx.shared.catalog;
    let collection = catalog
        .method(&words)
        .and_then(|m| catalog.collection(&m.collection))
        .or_else(|| catalog.collection(&words));
    let id = collection.and_then(|c| c.id.clone());
    let (graph, memo) = (cx.shared.graph.borrow(), cx.shared.memo.borrow());
    let trace = Trace {
        graph: &graph,
        memo: &memo,
        scope: cx.scope,
        call,
        it: None,
        id: id.as_deref(),
    };
    let span = named::fields(error).iter().find_map(|field| {
        let path: Vec<&str> = field
            .split(['.', '['])
            .map(|part| part.trim_end_matches(']'))
            .collect();
        trace.place(&path)
    });
    Some(cx.shared.stretch(span?))
}

fn call_of(step: &Step) -> Option<&ApiCall> {
    match &step.action.kind {
        ActionKind::Read(call)
        | ActionKind::Ensure(call)
        | ActionKind::Call(call)
        | ActionKind::WaitApi(call) => Some(call),
        _ => None,
    }
}
