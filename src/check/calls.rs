//! Calls in expressions: functions of the language, hooks, `fresh`.

use std::sync::Arc;

use super::Checker;
use super::names::{Global, Meaning};
use super::scope::{Hooks, Phase, Scope};
use super::symbols::unparenthesised;
use super::want::Want;
use super::{HookSyntax, signatures};
use crate::diag::{Code, Diagnostic, nearest};
use crate::package::ModuleId;
use crate::source::Span;
use crate::syntax::ast::{self, Arg, Expr, ExprKind, HookBody, HookDef};
use crate::types::Type;
use crate::types::functions::Function;

impl<'p> Checker<'_, 'p> {
    pub(super) fn call(
        &mut self,
        callee: &'p Expr,
        args: &'p [Arg],
        span: Span,
        scope: &mut Scope,
    ) -> Type {
        let (hook, name) = match &*callee.kind {
            ExprKind::Name(name) => (self.names.global(scope.module, name), Arc::clone(name)),
            ExprKind::Member { base, name, .. } => {
                let library = match &*base.kind {
                    ExprKind::Name(alias) => {
                        self.mark_import(scope.module, alias);
                        self.names.global(scope.module, alias)
                    }
                    _ => None,
                };
                match library {
                    Some(Global::Module(id)) => {
                        (self.names.global(id, &name.text), Arc::clone(&name.text))
                    }
                    _ => return self.no_method(base, name, args, scope),
                }
            }
            _ => return self.not_callable(callee, args, scope),
        };
        match hook {
            Some(Global::Hook(home, def)) => {
                self.used.insert(def.name.span);
                self.hook_allowed(scope.hooks, callee.span);
                self.hook_call(home, def, args, span, scope)
            }
            Some(Global::Unknown) => {
                self.look_at(args, scope);
                Type::Unknown
            }
            _ => match Function::by_name(&name) {
                Some(Function::Fresh) => self.fresh(args, span, scope),
                Some(
                    function @ (Function::Earlier
                    | Function::Found
                    | Function::Planned
                    | Function::Sources),
                ) => self.bodies(function, callee, args, scope),
                Some(function) => self.function(function, args, span, scope),
                None => self.unknown_function(&name, callee, args, scope),
            },
        }
    }

    fn hook_allowed(&mut self, hooks: Hooks, span: Span) {
        let (message, help) = match hooks {
            Hooks::Allowed => return,
            Hooks::Repeated(clause) => (
                format!("a hook cannot be called in {clause}, which is asked many times"),
                "compute it once, in a `let` or a step of its own",
            ),
            Hooks::Nowhere => (
                "a hook cannot be called in a test, which records nothing".to_owned(),
                "run a workflow that calls it, and look at its outputs",
            ),
        };
        self.report(Diagnostic::error(Code::BAD_HOOK, span, message).help(help));
    }

    fn look_at(&mut self, args: &'p [Arg], scope: &mut Scope) {
        for arg in args {
            self.infer(&arg.value, scope);
        }
    }

    fn no_method(
        &mut self,
        base: &'p Expr,
        name: &ast::Name,
        args: &'p [Arg],
        scope: &mut Scope,
    ) -> Type {
        let ty = self.infer(base, scope);
        self.quietly(|c| c.look_at(args, scope));
        if matches!(ty, Type::Unknown) {
            return Type::Unknown;
        }
        let finding = Diagnostic::error(
            Code::BAD_ARGUMENTS,
            name.span,
            format!(
                "values have no methods, so there is no `{}` to call",
                name.text
            ),
        );
        self.report(match Function::by_name(&name.text) {
            Some(_) => finding.help(format!("functions stand in front: `{}(…)`", name.text)),
            None => finding.help("a method of an API is called by a step: `step x = read …`"),
        });
        Type::Unknown
    }

    fn not_callable(&mut self, callee: &'p Expr, args: &'p [Arg], scope: &mut Scope) -> Type {
        let ty = self.infer(callee, scope);
        self.quietly(|c| c.look_at(args, scope));
        if !matches!(ty, Type::Unknown) {
            let finding = Diagnostic::error(
                Code::BAD_ARGUMENTS,
                callee.span,
                "only functions and hooks can be called",
            );
            self.report(finding);
        }
        Type::Unknown
    }

    fn unknown_function(
        &mut self,
        name: &str,
        callee: &Expr,
        args: &'p [Arg],
        scope: &mut Scope,
    ) -> Type {
        self.quietly(|c| c.look_at(args, scope));
        let finding = Diagnostic::error(
            Code::UNKNOWN_NAME,
            callee.span,
            format!("no function or hook is called `{name}`"),
        );
        let hooks = self
            .names
            .globals(scope.module)
            .into_iter()
            .filter(|n| matches!(self.names.global(scope.module, n), Some(Global::Hook(..))));
        let known: Vec<&str> = Function::ALL
            .iter()
            .map(|f| f.name())
            .chain(hooks)
            .collect();
        self.report(match nearest(name, known) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(callee.span, near),
            None => finding,
        });
        Type::Unknown
    }

    /// The arguments in the order of the parameters; wrong ones are reported.
    fn ordered<'a>(
        &mut self,
        what: &str,
        params: &[(&str, bool)],
        args: &'a [Arg],
        span: Span,
    ) -> Option<Vec<Option<&'a Expr>>> {
        let mut found: Vec<Option<&Expr>> = vec![None; params.len()];
        let mut next = 0;
        for arg in args {
            let at = match &arg.name {
                Some(name) => match params.iter().position(|(p, _)| *p == &*name.text) {
                    Some(at) => at,
                    None => {
                        let finding = Diagnostic::error(
                            Code::BAD_ARGUMENTS,
                            name.span,
                            format!("`{what}` has no parameter `{}`", name.text),
                        );
                        self.report(match nearest(&name.text, params.iter().map(|p| p.0)) {
                            Some(near) => finding.help(format!("did you mean `{near}`?")),
                            None => finding,
                        });
                        return None;
                    }
                },
                None => {
                    next += 1;
                    next - 1
                }
            };
            if at >= params.len() {
                let list: Vec<&str> = params.iter().map(|p| p.0).collect();
                self.report(
                    Diagnostic::error(
                        Code::BAD_ARGUMENTS,
                        arg.value.span,
                        format!("`{what}` takes {} and no more", count(params.len())),
                    )
                    .help(format!("it is `{what}({})`", list.join(", "))),
                );
                return None;
            }
            found[at] = Some(&arg.value);
        }
        let missing: Vec<String> = params
            .iter()
            .zip(&found)
            .filter(|((_, optional), arg)| arg.is_none() && !optional)
            .map(|((name, _), _)| format!("`{name}`"))
            .collect();
        if missing.is_empty() {
            return Some(found);
        }
        let list: Vec<&str> = params.iter().map(|p| p.0).collect();
        self.report(
            Diagnostic::error(
                Code::BAD_ARGUMENTS,
                span,
                format!("`{what}` needs {}", missing.join(", ")),
            )
            .help(format!("it is `{what}({})`", list.join(", "))),
        );
        None
    }

    fn function(
        &mut self,
        function: Function,
        args: &'p [Arg],
        span: Span,
        scope: &mut Scope,
    ) -> Type {
        let params: Vec<(&str, bool)> = function
            .params()
            .iter()
            .map(|p| (p.trim_end_matches('?'), p.ends_with('?')))
            .collect();
        let Some(ordered) = self.ordered(function.name(), &params, args, span) else {
            self.quietly(|c| c.look_at(args, scope));
            return Type::Unknown;
        };
        let mut sealed = false;
        let mut types = Vec::new();
        for arg in ordered {
            let ty = arg.map_or(Type::Never, |a| self.infer(a, scope));
            sealed |= ty.holds_secret();
            types.push((ty.unsealed().0, arg.map_or(span, |a| a.span)));
        }
        match signatures::result(function, &types) {
            Ok(ty) => ty.sealed(sealed),
            Err(problem) => {
                let mut finding = Diagnostic::error(problem.code, problem.span, problem.message);
                finding.help = problem.help;
                self.report(finding);
                Type::Unknown
            }
        }
    }

    /// `fresh(x)`: the resource of a step, read again just before the request (rule C9).
    fn fresh(&mut self, args: &'p [Arg], span: Span, scope: &mut Scope) -> Type {
        let [arg] = args else {
            self.report(
                Diagnostic::error(Code::BAD_ARGUMENTS, span, "`fresh` takes one step")
                    .help("it is `fresh(step)`"),
            );
            return Type::Unknown;
        };
        if !scope.fresh {
            self.report(
                Diagnostic::error(
                    Code::IT_OUT_OF_PLACE,
                    span,
                    "`fresh` would be stale here: nothing is sent from this place",
                )
                .help("write it in the body, the arguments or a `require`, `unless` or `expect` of the step that needs it"),
            );
        }
        let ty = self.infer(&arg.value, scope);
        let (name, _) = root_name(&arg.value);
        let step = name.and_then(|name| {
            let flow = self.names.flow(scope.flow?);
            match flow.symbol(name)?.meaning {
                Meaning::Step(step) => Some(step),
                _ => None,
            }
        });
        let readable = step.is_some_and(|s| {
            use ast::ActionKind::{Broken, Call, Ensure, Read, WaitApi, WaitStep};
            matches!(
                s.action.kind,
                Read(_) | Ensure(_) | WaitApi(_) | WaitStep(_) | Call(_) | Broken
            )
        });
        if !readable && !matches!(ty, Type::Unknown) {
            self.report(
                Diagnostic::error(
                    Code::IT_OUT_OF_PLACE,
                    arg.value.span,
                    "`fresh` takes a step that has a resource",
                )
                .help("name a `read`, `ensure`, `wait` or inserting `call` step"),
            );
            return Type::Unknown;
        }
        ty
    }

    pub(super) fn hook_call(
        &mut self,
        home: ModuleId,
        def: &'p HookDef,
        args: &'p [Arg],
        span: Span,
        scope: &mut Scope,
    ) -> Type {
        if let Phase::Text(place) = scope.phase {
            self.report(Diagnostic::error(
                Code::TOO_LATE,
                span,
                format!("{place} cannot call a hook, which runs with the workflow"),
            ));
        }
        let params: Vec<(&str, bool)> = def.params.iter().map(|p| (&*p.name.text, false)).collect();
        let result = self.declared_type(home, &def.result);
        let Some(ordered) = self.ordered(&def.name.text, &params, args, span) else {
            self.quietly(|c| c.look_at(args, scope));
            return result;
        };
        let mut sealed = false;
        for (param, arg) in def.params.iter().zip(ordered) {
            let Some(arg) = arg else { continue };
            let ty = self.declared_type(home, &param.ty);
            let given = self.infer(arg, scope);
            self.fits(&given, &Want::declared(&param.name.text, ty), arg.span);
            sealed |= given.holds_secret();
        }
        result.sealed(sealed)
    }

    /// The declaration of a hook: its types, and the text of its body.
    pub(super) fn hook(&mut self, module: ModuleId, hook: &'p HookDef, syntax: HookSyntax<'_>) {
        for param in &hook.params {
            self.declared_type(module, &param.ty);
        }
        self.declared_type(module, &hook.result);
        match &hook.body {
            HookBody::Inline(text, span) => {
                if let Some((range, message)) = syntax(hook, text) {
                    let at = self.within_raw(*span, text, range);
                    let finding = Diagnostic::error(
                        Code::BAD_HOOK,
                        at,
                        format!("the hook `{}` does not parse", hook.name.text),
                    );
                    self.report(finding.label(message));
                }
            }
            HookBody::File(file) => {
                let Some(source) = self.names.program.hook_file(module, &file.text) else {
                    return;
                };
                if let Some((range, message)) = syntax(hook, &source.text) {
                    let at = Span::new(source.id, range.start, range.end);
                    let finding = Diagnostic::error(
                        Code::BAD_HOOK,
                        at,
                        format!("the hook `{}` does not parse", hook.name.text),
                    );
                    self.report(
                        finding
                            .label(message)
                            .related(hook.name.span, "declared here"),
                    );
                }
            }
        }
    }

    /// The place in the file of a range in the dedented text of a raw literal: the same line, the
    /// same words.
    fn within_raw(&self, literal: Span, text: &str, range: std::ops::Range<usize>) -> Span {
        let whole = self.names.program.sources.slice(literal);
        let start = range.start.min(text.len());
        let before = text.get(..start).unwrap_or("");
        let line = before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let dedented = text.lines().nth(line).unwrap_or("");
        let mut offset = 0;
        // The first line of the literal holds the quotes and the tag.
        for (n, raw) in whole.split_inclusive('\n').enumerate() {
            if n == line + 1 {
                let stripped = raw.trim_end_matches(['\n', '\r']);
                let indent = stripped.len().saturating_sub(dedented.len());
                let from = literal.start as usize + offset + indent + column;
                let length = (range.end.saturating_sub(range.start)).max(1);
                let end = (from + length).min(literal.start as usize + offset + stripped.len());
                return Span::new(literal.source, from.min(end), end);
            }
            offset += raw.len();
        }
        literal
    }
}

/// The name that an expression begins with, and whether more stands behind it.
pub(super) fn root_name(expr: &Expr) -> (Option<&Arc<str>>, bool) {
    match &*unparenthesised(expr).kind {
        ExprKind::Name(name) => (Some(name), false),
        ExprKind::Index { base, .. } | ExprKind::Member { base, .. } => (root_name(base).0, true),
        _ => (None, false),
    }
}

fn count(n: usize) -> String {
    match n {
        0 => "no arguments".to_owned(),
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    }
}
