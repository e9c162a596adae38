//! Policies as they are declared, and the clauses that silence them. What they find is the room
//! `policy`'s business.

use std::sync::Arc;

use super::Checker;
use super::scope::{Hooks, It, Local, Phase, Scope};
use super::target::joined;
use crate::catalog::{NameKind, SchemaId};
use crate::diag::{Code, Diagnostic, nearest};
use crate::package::{ModuleId, Program};
use crate::source::Span;
use crate::syntax::ast::{
    Arg, Expr, ExprKind, Item, Name, Policy, Rule, StrPart, TypeExpr, TypeKind,
};
use crate::types::Type;
use crate::types::functions::Function;

/// How grave a finding of a rule can be.
pub const SEVERITIES: [&str; 3] = ["error", "warning", "advice"];

/// Every policy of a program, which are those in force, with the modules that declare them.
pub fn in_force(program: &Program) -> impl Iterator<Item = (ModuleId, &Policy)> {
    program.modules.iter().flat_map(|module| {
        module.file.items.iter().filter_map(|item| match item {
            Item::Policy(policy) => Some((module.id, policy)),
            _ => None,
        })
    })
}

impl<'p> Checker<'_, 'p> {
    /// A method or a collection in the place of a type: what of it a policy can look at.
    fn sent_by(&self, on: &TypeExpr) -> Option<Diagnostic> {
        let TypeKind::Path(path) = &on.kind else {
            return None;
        };
        let words: Vec<&str> = path.iter().map(|n| &*n.text).collect();
        let name = words.join(".");
        let (what, sent) = match (self.catalog.method(&name), self.catalog.collection(&name)) {
            (Some(method), _) => ("method", method.request.clone()),
            (None, Some(collection)) => ("collection", collection.resource.clone()),
            (None, None) => return None,
        };
        let message = format!("a policy looks at what is sent, and `{name}` is a {what}");
        let finding = Diagnostic::error(Code::BAD_POLICY, on.span, message);
        Some(match sent {
            Some(ty) => finding.help(format!("name the type of its body: `{ty}`")),
            None => finding
                .help("it sends no body; name a type of the catalogue, such as `compute.Firewall`"),
        })
    }

    pub(super) fn policy(&mut self, module: ModuleId, policy: &'p Policy) {
        let on = match self.sent_by(&policy.on) {
            Some(finding) => {
                self.report(finding);
                Type::Unknown
            }
            None => self.declared_type(module, &policy.on),
        };
        let on = match on {
            Type::Schema(_) | Type::Unknown => on,
            _ => {
                self.report(
                    Diagnostic::error(
                        Code::BAD_POLICY,
                        policy.on.span,
                        "a policy looks at bodies of an API",
                    )
                    .help("name a type of the catalogue, such as `compute.Firewall`"),
                );
                Type::Unknown
            }
        };
        let mut scope = Scope {
            it: It::Is(on.clone().nullable()),
            hooks: Hooks::Repeated("a policy"),
            bodies: true,
            phase: Phase::Any,
            ..self.module_scope(module)
        };
        let ty = match policy.waits {
            true => Type::record([
                ("until", Type::list(Type::STR)),
                ("after", Type::list(Type::STR)),
            ]),
            false => on,
        };
        scope.locals.push(Local {
            name: Arc::clone(&policy.binder.text),
            ty,
        });
        if policy.rules.is_empty() {
            self.report(
                Diagnostic::error(
                    Code::BAD_POLICY,
                    policy.name.span,
                    format!("`{}` has no rule", policy.name.text),
                )
                .help("write `warning at FIELD when CONDITION \"MESSAGE\"` between its braces"),
            );
        }
        for rule in &policy.rules {
            self.severity(&rule.severity);
            self.rule(rule, &rule.loops, &policy.binder, &mut scope);
        }
    }

    fn severity(&mut self, word: &Name) {
        if SEVERITIES.contains(&&*word.text) {
            return;
        }
        let finding = Diagnostic::error(
            Code::BAD_POLICY,
            word.span,
            format!("`{}` is no severity", word.text),
        );
        self.report(match nearest(&word.text, SEVERITIES) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(word.span, near),
            None => finding.help("there are `error`, `warning` and `advice`"),
        });
    }

    fn rule(
        &mut self,
        rule: &'p Rule,
        loops: &'p [crate::syntax::ast::Binder],
        binder: &Name,
        scope: &mut Scope,
    ) {
        if let Some((first, rest)) = loops.split_first() {
            return self.bound(first, scope, |c, s| c.rule(rule, rest, binder, s));
        }
        self.infer(&rule.place, scope);
        let names = std::iter::once(&binder.text).chain(rule.loops.iter().flat_map(|b| {
            std::iter::once(&b.first.text).chain(b.second.as_ref().map(|n| &n.text))
        }));
        if !root(&rule.place).is_some_and(|name| names.into_iter().any(|n| **n == *name)) {
            self.report(
                Diagnostic::error(
                    Code::BAD_POLICY,
                    rule.place.span,
                    "a finding underlines a field of what the policy looks at",
                )
                .help(format!(
                    "write `{0}`, a field of it such as `{0}.name`, or one of an element that `for` binds",
                    binder.text
                )),
            );
        }
        self.condition(&rule.condition, scope);
        let texts = std::iter::once((&rule.message, "a message"));
        let texts = texts.chain(rule.hint.iter().map(|hint| (hint, "a hint")));
        for (text, what) in texts {
            self.under(&rule.condition, true, scope, |c, s| {
                c.message(text, s, what)
            });
        }
    }

    /// `planned(compute.Firewall)`: the bodies of a type, the names of which are no values.
    pub(super) fn bodies(
        &mut self,
        function: Function,
        callee: &Expr,
        args: &'p [Arg],
        scope: &mut Scope,
    ) -> Type {
        let name = function.name();
        if !scope.bodies {
            self.report(
                Diagnostic::error(
                    Code::BAD_POLICY,
                    callee.span,
                    format!("`{name}` has a meaning in a policy only"),
                )
                .help("in a workflow use the step itself"),
            );
            return Type::Unknown;
        }
        let path = match (function, args) {
            (
                Function::Sources,
                [
                    value,
                    Arg {
                        name: None,
                        value: ty,
                    },
                ],
            ) => {
                self.infer(&value.value, scope);
                type_path(ty)
            }
            (
                Function::Earlier | Function::Found | Function::Planned,
                [
                    Arg {
                        name: None,
                        value: ty,
                    },
                ],
            ) => type_path(ty),
            _ => None,
        };
        let Some((path, span)) = path else {
            self.report(
                Diagnostic::error(
                    Code::BAD_ARGUMENTS,
                    callee.span,
                    format!("`{name}` takes the name of a type"),
                )
                .help(format!(
                    "write `{name}({})`",
                    function
                        .params()
                        .join(", ")
                        .replace("type", "compute.Firewall")
                )),
            );
            return Type::Unknown;
        };
        let known = SchemaId::parse(&path).filter(|id| self.catalog.schema(id).is_some());
        match known {
            Some(id) => Type::list(Type::Schema(id)),
            None => {
                let finding = Diagnostic::error(
                    Code::BAD_TYPE,
                    span,
                    format!("the catalogue has no type `{path}`"),
                );
                self.report(match self.catalog.suggest(NameKind::Schema, &path) {
                    Some(near) => finding
                        .help(format!("did you mean `{near}`?"))
                        .fix(span, near),
                    None => finding,
                });
                Type::list(Type::Unknown)
            }
        }
    }

    /// `allow POLICY "reason"`
    pub(super) fn allow(&mut self, module: ModuleId, policy: &Name, reason: Option<&Expr>) {
        if reason.is_none_or(is_blank) {
            self.report(
                Diagnostic::error(
                    Code::NO_REASON,
                    policy.span,
                    format!("`{}` is silenced without a reason", policy.text),
                )
                .help("write behind it, in quotes, why it may be so here"),
            );
        }
        let program = self.names.program;
        let known: Vec<&str> = in_force(program).map(|(_, p)| &*p.name.text).collect();
        // Libraries are silent for flows that use the policies, and for those that do not.
        let shared = program.is_shared(program.module(module).source.id);
        if known.contains(&&*policy.text) || shared {
            return;
        }
        let finding = Diagnostic::warning(
            Code::UNKNOWN_POLICY,
            policy.span,
            format!("no policy in force is called `{}`", policy.text),
        );
        self.report(match nearest(&policy.text, known) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(policy.span, near),
            None => finding.help("`use` the module that declares it, or remove this"),
        });
    }
}

/// The words of a type that stands as an argument: `compute.Firewall`.
pub fn type_path(expr: &Expr) -> Option<(String, Span)> {
    let ExprKind::Member { base, name, .. } = &*expr.kind else {
        return None;
    };
    let ExprKind::Name(service) = &*base.kind else {
        return None;
    };
    let words = [
        Name {
            text: Arc::clone(service),
            span: base.span,
        },
        name.clone(),
    ];
    Some((joined(&words), expr.span))
}

/// The name that a path of fields and elements begins with.
fn root(expr: &Expr) -> Option<&str> {
    match &*expr.kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Member { base, .. } | ExprKind::Index { base, .. } | ExprKind::Paren(base) => {
            root(base)
        }
        _ => None,
    }
}

fn is_blank(reason: &Expr) -> bool {
    match &*reason.kind {
        ExprKind::Str(parts) => parts.iter().all(|part| match part {
            StrPart::Text(text) => text.trim().is_empty(),
            StrPart::Value(_) => false,
        }),
        _ => false,
    }
}
