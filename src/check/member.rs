//! Fields and elements of values.

use std::sync::Arc;

use super::Checker;
use super::names::Global;
use super::operators::OverLoop;
use super::scope::Scope;
use super::symbols::unparenthesised;
use crate::diag::{Code, Diagnostic, nearest};
use crate::syntax::ast::{Expr, ExprKind};
use crate::types::Type;

impl<'p> Checker<'_, 'p> {
    pub(super) fn member(
        &mut self,
        base: &'p Expr,
        name: &'p crate::syntax::ast::Name,
        optional: bool,
        scope: &mut Scope,
    ) -> Type {
        if let Some(ty) = self.module_member(base, name, scope) {
            return ty;
        }
        let (ty, secret) = self.infer(base, scope).unsealed();
        if ty.may_be_null() && !ty.is_loose() {
            let said = self.sink.as_slice().len();
            let found = match ty.clone().without_null() {
                Type::Never => Type::Null,
                bare => self.field_of(&bare, name, base, scope),
            };
            // A field that does not exist is the greater mistake.
            if !optional && self.sink.as_slice().len() == said {
                self.null_member(base, &ty, &name.text);
            }
            return if optional {
                found.nullable().sealed(secret)
            } else {
                found.sealed(secret)
            };
        }
        let found = self.field_of(&ty, name, base, scope).sealed(secret);
        if optional { found.nullable() } else { found }
    }

    /// `lib.name`: a `let` of a module that has an alias.
    fn module_member(
        &mut self,
        base: &'p Expr,
        name: &crate::syntax::ast::Name,
        scope: &Scope,
    ) -> Option<Type> {
        let ExprKind::Name(alias) = &*base.kind else {
            return None;
        };
        if scope.local(alias).is_some() {
            return None;
        }
        let names = self.names;
        let shadowed = scope
            .flow
            .is_some_and(|f| names.flow(f).symbol(alias).is_some());
        let Some(Global::Module(library)) = names.global(scope.module, alias) else {
            return None;
        };
        if shadowed {
            return None;
        }
        self.mark_import(scope.module, alias);
        match names.global(library, &name.text) {
            Some(Global::Let(module, l)) => {
                self.used.insert(l.name.span);
                Some(self.global_let(module, l))
            }
            Some(Global::Unknown) => Some(Type::Unknown),
            _ => {
                let known = names.globals(library);
                let mut finding = Diagnostic::error(
                    Code::UNKNOWN_NAME,
                    name.span,
                    format!("`{alias}` has no value `{}`", name.text),
                );
                if let Some(near) = nearest(&name.text, known) {
                    finding = finding
                        .help(format!("did you mean `{near}`?"))
                        .fix(name.span, near);
                }
                self.report(finding);
                Some(Type::Unknown)
            }
        }
    }

    fn null_member(&mut self, base: &Expr, ty: &Type, name: &str) {
        self.report(
            Diagnostic::error(
                Code::MAYBE_NULL,
                base.span,
                format!("this may be null, and null has no `{name}`"),
            )
            .label(format!("is `{ty}`"))
            .help(format!(
                "write `?.{name}`, or put it under a condition that says `!= null`"
            )),
        );
    }

    /// The type of a field of a value that is not null.
    pub(super) fn field_of(
        &mut self,
        ty: &Type,
        name: &crate::syntax::ast::Name,
        base: &'p Expr,
        scope: &Scope,
    ) -> Type {
        match ty {
            Type::Unknown | Type::Never => Type::Unknown,
            Type::Any => Type::Any,
            Type::Map(value) => match self.over_a_loop(base, scope) {
                Some(over) => {
                    self.report_over_loop(base, &name.text, over);
                    Type::Unknown
                }
                None => (**value).clone(),
            },
            Type::Record(record) => match record.fields.get(&name.text) {
                Some(part) if part.optional => part.ty.clone().nullable(),
                Some(part) => part.ty.clone(),
                None => self.no_field(ty, name, record.fields.keys().map(|k| &**k)),
            },
            Type::Schema(_) | Type::Inline(_) => match self.schema(ty) {
                None => Type::Unknown,
                Some(schema) => match schema.field(&name.text) {
                    Some(field) => self.field_type(field).sealed(field.secret),
                    None => self.no_field(ty, name, schema.fields.keys().map(|k| &**k)),
                },
            },
            Type::Union(members) => {
                let members = Arc::clone(members);
                Type::join(members.iter().map(|m| self.field_of(m, name, base, scope)))
            }
            Type::Nullable(inner) | Type::Secret(inner) => {
                let inner = Arc::clone(inner);
                self.field_of(&inner, name, base, scope)
            }
            Type::List(_) => {
                let finding = Diagnostic::error(
                    Code::UNKNOWN_FIELD,
                    name.span,
                    format!("a list has no field `{}`: its elements may have", name.text),
                );
                self.report(finding.help(format!(
                    "take one element, `one(x in … where …).{0}`, or all: `[x.{0} for x in …]`",
                    name.text
                )));
                Type::Unknown
            }
            other => {
                self.report(Diagnostic::error(
                    Code::UNKNOWN_FIELD,
                    name.span,
                    format!("`{other}` has no fields, so no `{}`", name.text),
                ));
                Type::Unknown
            }
        }
    }

    fn no_field<'a>(
        &mut self,
        ty: &Type,
        name: &crate::syntax::ast::Name,
        known: impl Iterator<Item = &'a str>,
    ) -> Type {
        let known: Vec<&str> = known.collect();
        let mut finding = Diagnostic::error(
            Code::UNKNOWN_FIELD,
            name.span,
            format!("`{ty}` has no field `{}`", name.text),
        );
        if let Some(near) = nearest(&name.text, known.iter().copied()) {
            finding = finding
                .help(format!("did you mean `{near}`?"))
                .fix(name.span, near);
        } else if known.len() <= 12 {
            let list: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
            finding = finding.help(format!("it has {}", list.join(", ")));
        }
        self.report(finding);
        Type::Unknown
    }

    pub(super) fn index(&mut self, base: &'p Expr, index: &'p Expr, scope: &mut Scope) -> Type {
        let (ty, secret) = self.infer(base, scope).unsealed();
        let (key, _) = self.infer(index, scope).unsealed();
        if ty.may_be_null() && !ty.is_loose() {
            self.report(
                Diagnostic::error(Code::MAYBE_NULL, base.span, "this may be null, and null has no elements")
                    .label(format!("is `{ty}`"))
                    .help("put it under a condition that says `!= null`, or give it another value with `??`"),
            );
        }
        let bare = ty.without_null();
        self.element_at(&bare, &key, base, index).sealed(secret)
    }

    fn element_at(&mut self, ty: &Type, key: &Type, base: &Expr, index: &Expr) -> Type {
        let textual = key.is_loose() || key.is_text() || matches!(key, Type::Int(_));
        match ty {
            Type::Unknown | Type::Never => Type::Unknown,
            Type::Any => Type::Any,
            Type::List(element) => {
                if !key.is_loose() && !matches!(key, Type::Int(_)) {
                    self.report(
                        Diagnostic::error(
                            Code::TYPE_MISMATCH,
                            index.span,
                            format!("a list is indexed by a whole number, and this is `{key}`"),
                        )
                        .help("to find an element by what it holds: `one(x in list where x.name == …)`"),
                    );
                }
                (**element).clone()
            }
            Type::Map(value) => {
                if !textual {
                    self.report(Diagnostic::error(
                        Code::TYPE_MISMATCH,
                        index.span,
                        format!("a map is indexed by text, and this is `{key}`"),
                    ));
                }
                (**value).clone()
            }
            Type::Record(record) => match key {
                Type::Literal(name) => match record.fields.get(name) {
                    Some(part) if part.optional => part.ty.clone().nullable(),
                    Some(part) => part.ty.clone(),
                    None => {
                        let name = crate::syntax::ast::Name {
                            text: Arc::clone(name),
                            span: index.span,
                        };
                        self.no_field(ty, &name, record.fields.keys().map(|k| &**k))
                    }
                },
                _ => Type::join(record.fields.values().map(|p| p.ty.clone())),
            },
            Type::Schema(_) | Type::Inline(_) => Type::Any,
            other => {
                self.report(Diagnostic::error(
                    Code::TYPE_MISMATCH,
                    base.span,
                    format!("`{other}` has no elements"),
                ));
                Type::Unknown
            }
        }
    }

    /// Whether the expression names something of a loop that is seen from outside it.
    fn over_a_loop(&self, base: &Expr, scope: &Scope) -> Option<OverLoop> {
        let ExprKind::Name(name) = &*unparenthesised(base).kind else {
            return None;
        };
        if scope.local(name).is_some() {
            return None;
        }
        let flow = self.names.flow(scope.flow?);
        let symbol = flow.symbol(name)?;
        let loops = flow.loops_between(scope.block, symbol.block);
        let first = loops.first()?;
        let super::names::BlockKind::For(f) = flow.block(*first).kind else {
            return None;
        };
        Some(OverLoop {
            name: Arc::clone(name),
            key: Arc::clone(&f.first.text),
            declared: symbol.span,
        })
    }
}
