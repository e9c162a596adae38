//! A checked module as what it offers.

use super::{Item, Kind, Module, flow, words};
use crate::catalog::Catalog;
use crate::check::Checked;
use crate::check::names::Names;
use crate::package::ModuleId;
use crate::report::clean;
use crate::source::Span;
use crate::syntax::ast::{self, Doc};

/// The flow's own module, under a name.
pub fn module(name: &str, checked: &Checked<'_>, catalog: &Catalog) -> Module {
    let names = &checked.names;
    let root = names.program.root();
    let items = root.file.items.iter();
    Module {
        name: name.to_owned(),
        path: root.path.clone(),
        about: about(&root.source.text),
        items: items.filter_map(|i| item(names, root.id, i)).collect(),
        workflows: names
            .flows_of(root.id)
            .map(|f| flow::workflow(checked, catalog, f))
            .collect(),
    }
}

/// The comment with which a text begins.
pub(super) fn about(text: &str) -> Option<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .skip_while(|l| l.is_empty())
        .map_while(|l| l.strip_prefix("//"))
        .take_while(|l| !l.starts_with('/'))
        .map(str::trim)
        .collect();
    Some(clean(lines.join("\n").trim())).filter(|t| !t.is_empty())
}

pub(super) fn doc(doc: &Doc) -> Option<String> {
    let text = clean(doc.as_deref()?.trim());
    Some(text).filter(|t| !t.is_empty())
}

fn item(names: &Names<'_>, module: ModuleId, item: &ast::Item) -> Option<Item> {
    let source = &names.program.module(module).source;
    let written = |span: Span| clean(source.slice(span));
    Some(match item {
        ast::Item::Let(l) => Item {
            kind: Kind::Constant,
            name: l.name.text.to_string(),
            doc: doc(&l.doc),
            text: written(l.span),
            uses: Vec::new(),
        },
        ast::Item::Type(t) => Item {
            kind: Kind::Type,
            name: t.name.text.to_string(),
            doc: doc(&t.doc),
            text: written(t.span),
            uses: words::types_in(names, module, &t.ty),
        },
        ast::Item::Hook(hook) => {
            let params = hook.params.iter().map(|p| &p.ty);
            let types = params.chain([&hook.result]);
            let mut uses: Vec<_> = types
                .flat_map(|t| words::types_in(names, module, t))
                .collect();
            uses.sort();
            uses.dedup();
            Item {
                kind: Kind::Hook,
                name: hook.name.text.to_string(),
                doc: doc(&hook.doc),
                text: signature(names, module, hook),
                uses,
            }
        }
        ast::Item::Policy(policy) => Item {
            kind: Kind::Policy,
            name: policy.name.text.to_string(),
            doc: doc(&policy.doc),
            text: written(policy.span),
            uses: words::types_in(names, module, &policy.on),
        },
        ast::Item::Use(_)
        | ast::Item::Workflow(_)
        | ast::Item::Moved(_)
        | ast::Item::Test(_)
        | ast::Item::Broken(_) => {
            return None;
        }
    })
}

/// A hook without its text.
fn signature(names: &Names<'_>, module: ModuleId, hook: &ast::HookDef) -> String {
    let source = &names.program.module(module).source;
    let params: Vec<String> = hook
        .params
        .iter()
        .map(|p| format!("{}: {}", p.name.text, words::ty(source, &p.ty)))
        .collect();
    let (name, params) = (&hook.name.text, params.join(", "));
    format!(
        "hook {name}({params}) -> {}",
        words::ty(source, &hook.result)
    )
}
