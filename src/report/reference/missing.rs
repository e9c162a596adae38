//! What has no words of its own yet.

use crate::package::{Module, start_of};
use crate::source::Span;
use crate::syntax::ast::{Item, Stmt, Workflow};

/// Every declaration of a module that lacks a comment, with its place and what it is.
pub fn undocumented(module: &Module) -> Vec<(Span, String)> {
    let mut found = Vec::new();
    let mut need = |lacks: bool, span: Span, what: String| {
        if lacks {
            found.push((span, what));
        }
    };
    let about = super::module::about(&module.source.text);
    need(
        about.is_none(),
        start_of(module.source.id),
        "the module".into(),
    );
    for item in &module.file.items {
        match item {
            Item::Let(l) => need(l.doc.is_none(), l.name.span, format!("`{}`", l.name.text)),
            Item::Type(t) => need(t.doc.is_none(), t.name.span, format!("`{}`", t.name.text)),
            Item::Hook(h) => need(h.doc.is_none(), h.name.span, format!("`{}`", h.name.text)),
            Item::Policy(p) => need(p.doc.is_none(), p.name.span, format!("`{}`", p.name.text)),
            Item::Workflow(w) => {
                need(w.doc.is_none(), w.name.span, format!("`{}`", w.name.text));
                ports(w, &mut need);
            }
            Item::Use(_) | Item::Moved(_) | Item::Test(_) | Item::Broken(_) => {}
        }
    }
    found
}

fn ports(workflow: &Workflow, need: &mut impl FnMut(bool, Span, String)) {
    let of = &workflow.name.text;
    for stmt in &workflow.body.stmts {
        match stmt {
            Stmt::Input(i) => {
                let what = format!("input `{}` of `{of}`", i.name.text);
                need(i.doc.is_none(), i.name.span, what);
            }
            Stmt::Output(o) => {
                let what = format!("output `{}` of `{of}`", o.name.text);
                need(o.doc.is_none(), o.name.span, what);
            }
            _ => {}
        }
    }
}
