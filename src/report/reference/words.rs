//! Types and expressions as their authors wrote them, on one line.

use super::Link;
use crate::check::names::{Global, Names};
use crate::package::ModuleId;
use crate::report::{fit, one_line};
use crate::source::Source;
use crate::syntax::ast::{Expr, ExprKind, Name, TypeExpr, TypeKind};

/// Longer expressions are cut.
const EXPRESSION: usize = 80;

pub fn expression(source: &Source, expr: &Expr) -> String {
    match &*expr.kind {
        ExprKind::Raw { text, .. } => fit(&one_line(text), EXPRESSION),
        _ => fit(&one_line(source.slice(expr.span)), EXPRESSION),
    }
}

pub fn ty(source: &Source, ty: &TypeExpr) -> String {
    let inner = |t: &TypeExpr| self::ty(source, t);
    match &ty.kind {
        TypeKind::List(t) => format!("list<{}>", inner(t)),
        TypeKind::Map(t) => format!("map<{}>", inner(t)),
        TypeKind::Nullable(t) => format!("{}?", inner(t)),
        TypeKind::Union(members) => {
            let members: Vec<String> = members.iter().map(inner).collect();
            members.join(" | ")
        }
        TypeKind::Record(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|f| {
                    let mark = if f.optional { "?" } else { "" };
                    format!("{}{mark}: {}", f.name.text, inner(&f.ty))
                })
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        TypeKind::Base { .. } | TypeKind::Literal(_) | TypeKind::Path(_) | TypeKind::Broken => {
            one_line(source.slice(ty.span))
        }
    }
}

/// The declared types that a type names, each once, in the order of the text.
pub fn types_in(names: &Names<'_>, module: ModuleId, ty: &TypeExpr) -> Vec<Link> {
    let mut found = Vec::new();
    gather(names, module, ty, &mut found);
    found
}

fn gather(names: &Names<'_>, module: ModuleId, ty: &TypeExpr, found: &mut Vec<Link>) {
    match &ty.kind {
        TypeKind::List(t) | TypeKind::Map(t) | TypeKind::Nullable(t) => {
            gather(names, module, t, found);
        }
        TypeKind::Union(members) => members.iter().for_each(|t| gather(names, module, t, found)),
        TypeKind::Record(fields) => fields
            .iter()
            .for_each(|f| gather(names, module, &f.ty, found)),
        TypeKind::Path(path) => {
            let link = link(names, module, path);
            found.extend(link.filter(|link| !found.contains(link)));
        }
        TypeKind::Base { .. } | TypeKind::Literal(_) | TypeKind::Broken => {}
    }
}

/// What a path of names leads to, when that is a declaration.
pub fn link(names: &Names<'_>, module: ModuleId, path: &[Name]) -> Option<Link> {
    let (module, item) = match names.workflow(module, path)? {
        Global::Type(module, def) => (module, &def.name),
        Global::Let(module, def) => (module, &def.name),
        Global::Hook(module, def) => (module, &def.name),
        Global::Policy(module, def) => (module, &def.name),
        Global::Workflow(id) => (names.flow(id).module, &names.flow(id).ast.name),
        Global::Module(_) | Global::Unknown => return None,
    };
    Some(Link {
        module: names.program.module(module).path.clone(),
        item: item.text.to_string(),
    })
}
