//! The type of an expression.

use std::sync::Arc;

use super::Checker;
use super::scope::{Local, Scope};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{
    BinaryOp, Binder, Expr, ExprKind, Field, Key, Object, Quantifier, StrPart,
};
use crate::types::{Bounds, Part, Record, Type};

/// One text nests at most 256 levels; `let`s that refer to each other add up to this at most.
const DEEPEST_NESTING: u32 = 300;

impl<'p> Checker<'_, 'p> {
    /// The type of a value; `unset` is none.
    pub(super) fn infer(&mut self, expr: &'p Expr, scope: &mut Scope) -> Type {
        let (ty, unset) = self.infer_item(expr, scope).without_unset();
        if unset {
            self.report(
                Diagnostic::error(
                    Code::BAD_UNSET,
                    unset_in(expr),
                    "`unset` leaves out a field, an argument or an item, and here is none to leave out",
                )
                .help("write `null` for no value"),
            );
            if matches!(ty, Type::Never) {
                return Type::Unknown;
            }
        }
        ty
    }

    /// The type of a field, an argument or an item, which `unset` may leave out.
    pub(super) fn infer_item(&mut self, expr: &'p Expr, scope: &mut Scope) -> Type {
        if self.nesting >= DEEPEST_NESTING {
            return Type::Unknown;
        }
        self.nesting += 1;
        let ty = self.infer_kind(expr, scope);
        self.nesting -= 1;
        ty
    }

    fn infer_kind(&mut self, expr: &'p Expr, scope: &mut Scope) -> Type {
        match &*expr.kind {
            ExprKind::Null => Type::Null,
            ExprKind::Unset => Type::Unset,
            ExprKind::Bool(_) => Type::Bool,
            ExprKind::Int(n) => Type::Int(Bounds::exactly(*n)),
            ExprKind::Float(n) => Type::Number(Bounds::exactly(*n)),
            ExprKind::Duration(n) => Type::Duration(Bounds::exactly(*n)),
            ExprKind::Size(n) => Type::Size(Bounds::exactly(*n)),
            ExprKind::Percent(n) => Type::Percent(Bounds::exactly(*n)),
            ExprKind::Raw { text, .. } => Type::Literal(Arc::clone(text)),
            ExprKind::Str(parts) => self.text(parts, scope),
            ExprKind::Name(name) => {
                let ty = self.name(name, expr.span, scope);
                narrowed(ty, expr, scope)
            }
            ExprKind::List(items) => self.list(items, scope),
            ExprKind::Object(object) => self.object(object, scope),
            ExprKind::ListComp { element, binder } => {
                let inner = self.bound(binder, scope, |c, s| c.infer_item(element, s));
                Type::list(inner.without_unset().0)
            }
            ExprKind::MapComp { key, value, binder } => {
                let inner = self.bound(binder, scope, |c, s| {
                    c.map_key(key, s);
                    c.infer_item(value, s)
                });
                Type::map(inner.without_unset().0)
            }
            ExprKind::Quantifier {
                quantifier,
                binder,
                body,
            } => self.quantifier(*quantifier, binder, body.as_ref(), expr.span, scope),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => self.branches(condition, then, otherwise, scope),
            ExprKind::Not(inner) => {
                let secret = self.condition(inner, scope);
                Type::Bool.sealed(secret)
            }
            ExprKind::Neg(inner) => self.negated(inner, scope),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, expr.span, scope),
            ExprKind::Member {
                base,
                name,
                optional,
            } => {
                let ty = self.member(base, name, *optional, scope);
                narrowed(ty, expr, scope)
            }
            ExprKind::Index { base, index } => {
                let ty = self.index(base, index, scope);
                narrowed(ty, expr, scope)
            }
            ExprKind::Call { callee, args } => self.call(callee, args, expr.span, scope),
            ExprKind::Paren(inner) => self.infer_item(inner, scope),
            ExprKind::Broken => Type::Unknown,
        }
    }

    /// Checks that this is a truth value; says whether it is a secret one.
    pub(super) fn condition(&mut self, expr: &'p Expr, scope: &mut Scope) -> bool {
        let (ty, secret) = self.infer(expr, scope).unsealed();
        match &ty {
            Type::Bool => {}
            ty if ty.is_loose() => {}
            ty if ty.may_be_null() => self.report(
                Diagnostic::error(
                    Code::MAYBE_NULL,
                    expr.span,
                    "a condition is true or false, and this may be null",
                )
                .label(format!("is `{ty}`"))
                .help("write `?? false` behind it, or compare it: `!= null`"),
            ),
            ty => self.report(
                Diagnostic::error(
                    Code::TYPE_MISMATCH,
                    expr.span,
                    format!("a condition is true or false, and this is `{ty}`"),
                )
                .help("compare it with something: `==`, `!=`, `>`, `in`"),
            ),
        }
        secret
    }

    /// Looks at an expression where a condition is known to be true or false.
    pub(super) fn under<T>(
        &mut self,
        condition: &Expr,
        truth: bool,
        scope: &mut Scope,
        look: impl FnOnce(&mut Self, &mut Scope) -> T,
    ) -> T {
        let known = scope.facts.len();
        scope.facts.assume(condition, truth, &scope.binders);
        let found = look(self, scope);
        scope.facts.truncate(known);
        found
    }

    fn branches(
        &mut self,
        condition: &'p Expr,
        then: &'p Expr,
        otherwise: &'p Expr,
        scope: &mut Scope,
    ) -> Type {
        let secret = self.condition(condition, scope);
        // Where the answer is known already, only one branch counts (both are checked).
        let certain = match () {
            () if scope.facts.hold(condition, true, &scope.binders) => Some(true),
            () if scope.facts.hold(condition, false, &scope.binders) => Some(false),
            () => None,
        };
        let a = self.under(condition, true, scope, |c, s| c.infer_item(then, s));
        let b = self.under(condition, false, scope, |c, s| c.infer_item(otherwise, s));
        match certain {
            Some(true) => a,
            Some(false) => b,
            None => a.or(b),
        }
        .sealed(secret)
    }

    fn text(&mut self, parts: &'p [StrPart], scope: &mut Scope) -> Type {
        let mut constant = Some(String::new());
        let mut sealed = false;
        for part in parts {
            let piece = match part {
                StrPart::Text(text) => Some(Arc::clone(text)),
                StrPart::Value(value) => {
                    let (ty, secret) = self.infer(value, scope).unsealed();
                    sealed |= secret || ty.holds_secret();
                    self.in_text(&ty, value.span);
                    ty.constant_text()
                }
            };
            constant = match (constant, piece) {
                (Some(mut text), Some(piece)) => {
                    text.push_str(&piece);
                    Some(text)
                }
                _ => None,
            };
        }
        match constant {
            Some(text) => Type::Literal(Arc::from(text)),
            None => Type::STR,
        }
        .sealed(sealed)
    }

    /// Whether interpolation has a text for a value of this type.
    fn in_text(&mut self, ty: &Type, span: Span) {
        if ty.is_loose() {
            return;
        }
        if ty.may_be_null() {
            return self.report(
                Diagnostic::error(
                    Code::MAYBE_NULL,
                    span,
                    "this may be null, and text needs a value",
                )
                .label(format!("is `{ty}`"))
                .help("say what stands there then: `${… ?? \"none\"}`"),
            );
        }
        let help = match ty {
            Type::List(_) => "join its elements: `join(list, \", \")`",
            Type::Map(_) | Type::Record(_) => {
                "name one of its fields, or join its keys: `join(keys(map), \", \")`"
            }
            Type::Schema(_) | Type::Inline(_) => "name one of its fields, for example its `name`",
            Type::Union(members) => {
                let members = Arc::clone(members);
                return members.iter().for_each(|m| self.in_text(m, span));
            }
            _ => return,
        };
        self.report(
            Diagnostic::error(
                Code::NOT_IN_TEXT,
                span,
                format!("`{ty}` has no form in a text"),
            )
            .help(help),
        );
    }

    fn list(&mut self, items: &'p [Expr], scope: &mut Scope) -> Type {
        let element = items.iter().fold(Type::Never, |sum, item| {
            let (ty, _) = self.infer_item(item, scope).without_unset();
            sum.or(ty)
        });
        Type::list(element)
    }

    pub(super) fn map_key(&mut self, key: &'p Expr, scope: &mut Scope) {
        let (ty, secret) = self.infer(key, scope).unsealed();
        if secret {
            self.leak(key.span, "a key", "keys are in plans and reports");
        }
        let fine = ty.is_loose() || ty.is_text() || matches!(ty, Type::Int(_) | Type::Bool);
        if !fine {
            self.report(Diagnostic::error(
                Code::TYPE_MISMATCH,
                key.span,
                format!("a key is text, and this is `{ty}`"),
            ));
        }
    }

    /// An object literal as a record of its own.
    pub(super) fn object(&mut self, object: &'p Object, scope: &mut Scope) -> Type {
        let mut record = Record::default();
        let mut dynamic: Option<Type> = None;
        self.written_twice(object);
        for field in &object.fields {
            match field {
                Field::Pair {
                    key: Key::Name(name),
                    value,
                    ..
                } => {
                    let (ty, optional) = self.infer_item(value, scope).without_unset();
                    record
                        .fields
                        .insert(Arc::clone(&name.text), Part { ty, optional });
                }
                Field::Pair {
                    key: Key::Computed(key),
                    value,
                    ..
                } => {
                    self.map_key(key, scope);
                    let (ty, _) = self.infer_item(value, scope).without_unset();
                    dynamic = Some(dynamic.take().unwrap_or(Type::Never).or(ty));
                }
                Field::Spread { value, .. } => {
                    let ty = self.infer(value, scope);
                    dynamic = self.spread(ty, value.span, &mut record, dynamic);
                }
            }
        }
        match dynamic {
            Some(Type::Unknown) => Type::Unknown,
            Some(value) => Type::map(
                record
                    .fields
                    .into_iter()
                    .fold(value, |sum, (_, part)| sum.or(part.ty)),
            ),
            None => Type::Record(Arc::new(record)),
        }
    }

    /// Adds the fields of a spread value; what has no known fields makes the object a map.
    fn spread(
        &mut self,
        ty: Type,
        span: Span,
        record: &mut Record,
        dynamic: Option<Type>,
    ) -> Option<Type> {
        let (bare, secret) = ty.unsealed();
        match &bare {
            Type::Record(from) => {
                for (name, part) in &from.fields {
                    let part = Part {
                        ty: part.ty.clone().sealed(secret),
                        optional: part.optional,
                    };
                    record.fields.insert(Arc::clone(name), part);
                }
                dynamic
            }
            Type::Schema(_) | Type::Inline(_) => {
                if let Some(schema) = self.schema(&bare) {
                    for (name, field) in schema.fields.iter().filter(|(_, f)| !f.output_only) {
                        let ty = self.field_type(field);
                        let part = Part { ty, optional: true };
                        record.fields.insert(Arc::clone(name), part);
                    }
                }
                dynamic
            }
            Type::Map(value) => Some(dynamic.unwrap_or(Type::Never).or((**value).clone())),
            Type::Any => Some(Type::Any),
            Type::Unknown | Type::Never => Some(Type::Unknown),
            other => {
                self.no_spread(other, span);
                Some(Type::Unknown)
            }
        }
    }

    pub(super) fn no_spread(&mut self, ty: &Type, span: Span) {
        let finding = if ty.may_be_null() {
            Diagnostic::error(
                Code::MAYBE_NULL,
                span,
                "this may be null, and `...` needs an object",
            )
            .help("write `?? {}` behind it")
        } else {
            Diagnostic::error(
                Code::TYPE_MISMATCH,
                span,
                format!("`...` takes an object, and this is `{ty}`"),
            )
        };
        self.report(finding.label(format!("is `{ty}`")));
    }

    pub(super) fn written_twice(&mut self, object: &Object) {
        let mut seen: std::collections::HashMap<&str, Span> = std::collections::HashMap::new();
        for field in &object.fields {
            let Field::Pair {
                key: Key::Name(name),
                ..
            } = field
            else {
                continue;
            };
            if let Some(first) = seen.insert(&name.text, name.span) {
                self.report(
                    Diagnostic::error(
                        Code::DUPLICATE_NAME,
                        name.span,
                        format!("`{}` is written twice", name.text),
                    )
                    .related(first, "written here first")
                    .help("remove one of the two"),
                );
            }
        }
    }

    /// Looks at an expression for each element that a binder gives.
    pub(super) fn bound<T>(
        &mut self,
        binder: &'p Binder,
        scope: &mut Scope,
        look: impl FnOnce(&mut Self, &mut Scope) -> T,
    ) -> T {
        let source = self.infer(&binder.source, scope);
        let (first, second) = self.elements(
            &source,
            binder.source.span,
            &binder.first,
            binder.second.as_ref(),
        );
        let locals = scope.locals.len();
        let known = scope.facts.len();
        let outer = scope.binders.clone();
        self.bind_local(&binder.first.text, first, scope);
        if let Some(name) = &binder.second {
            self.bind_local(&name.text, second, scope);
        }
        if let Some(filter) = &binder.filter {
            self.condition(filter, scope);
            scope.facts.assume(filter, true, &scope.binders);
        }
        let found = look(self, scope);
        scope.locals.truncate(locals);
        scope.facts.truncate(known);
        scope.binders = outer;
        found
    }

    fn bind_local(&mut self, name: &Arc<str>, ty: Type, scope: &mut Scope) {
        self.binder += 1;
        scope.binders.insert(name.to_string(), self.binder);
        scope.locals.push(Local {
            name: Arc::clone(name),
            ty,
        });
    }

    fn quantifier(
        &mut self,
        quantifier: Quantifier,
        binder: &'p Binder,
        body: Option<&'p Expr>,
        span: Span,
        scope: &mut Scope,
    ) -> Type {
        let value = |c: &mut Self, s: &mut Scope| match (body, &binder.second) {
            (Some(body), _) => c.infer(body, s),
            (None, Some(second)) => c.name(&second.text, second.span, s),
            (None, None) => c.name(&binder.first.text, binder.first.span, s),
        };
        match quantifier {
            Quantifier::All | Quantifier::Any => {
                self.bound(binder, scope, |c, s| match body {
                    Some(body) => {
                        c.condition(body, s);
                    }
                    None if binder.filter.is_none() => c.report(
                        Diagnostic::error(
                            Code::BAD_ARGUMENTS,
                            span,
                            "this asks for a condition and has none",
                        )
                        .help("write it behind a colon: `all(x in xs: x.ready)`"),
                    ),
                    None => {}
                });
                Type::Bool
            }
            Quantifier::Count => {
                self.bound(binder, scope, |c, s| {
                    if let Some(body) = body {
                        c.condition(body, s);
                    }
                });
                Self::count_type()
            }
            Quantifier::One => self.bound(binder, scope, value),
            Quantifier::First => self.bound(binder, scope, value).nullable(),
            Quantifier::Min | Quantifier::Max => {
                let least = self.bound(binder, scope, value).widened();
                let some =
                    matches!(&*binder.source.kind, ExprKind::List(items) if !items.is_empty());
                match some && binder.filter.is_none() {
                    true => least,
                    false => least.nullable(),
                }
            }
            Quantifier::Sum => {
                let ty = self.bound(binder, scope, value).widened();
                let bare = ty.clone().unsealed().0;
                let fine = bare.is_loose()
                    || bare.is_number()
                    || matches!(bare, Type::Duration(_) | Type::Size(_) | Type::Percent(_));
                if !fine {
                    let at = body.map_or(binder.span, |b| b.span);
                    self.report(Diagnostic::error(
                        Code::BAD_OPERANDS,
                        at,
                        format!("`{bare}` cannot be added up"),
                    ));
                    return Type::Unknown;
                }
                ty
            }
        }
    }

    /// `a ?? b`
    pub(super) fn coalesce(&mut self, left: &'p Expr, right: &'p Expr, scope: &mut Scope) -> Type {
        let a = self.infer(left, scope).without_null();
        let b = self.infer_item(right, scope);
        a.or(b)
    }

    /// `and`, `or`: the right side knows the outcome of the left.
    pub(super) fn connective(
        &mut self,
        op: BinaryOp,
        left: &'p Expr,
        right: &'p Expr,
        scope: &mut Scope,
    ) -> Type {
        let a = self.condition(left, scope);
        let truth = op == BinaryOp::And;
        let b = self.under(left, truth, scope, |c, s| c.condition(right, s));
        Type::Bool.sealed(a || b)
    }

    /// A secret where everybody can read it.
    pub(super) fn leak(&mut self, span: Span, place: &str, why: &str) {
        self.report(
            Diagnostic::error(
                Code::SECRET_LEAK,
                span,
                format!("a secret cannot be {place}"),
            )
            .label("is secret")
            .help(format!("{why}: use a value that is no secret")),
        );
    }
}

/// Without null where the conditions around say so.
fn narrowed(ty: Type, expr: &Expr, scope: &Scope) -> Type {
    if ty.may_be_null() && scope.facts.not_null(expr, &scope.binders) {
        let bare = ty.without_null();
        return match bare {
            Type::Never => Type::Unknown,
            other => other,
        };
    }
    ty
}

/// The place of the `unset` that an expression may yield.
pub(super) fn unset_in(expr: &Expr) -> Span {
    fn find(expr: &Expr) -> Option<Span> {
        match &*expr.kind {
            ExprKind::Unset => Some(expr.span),
            ExprKind::Paren(inner) => find(inner),
            ExprKind::If {
                then, otherwise, ..
            } => find(then).or_else(|| find(otherwise)),
            ExprKind::Binary {
                op: BinaryOp::Coalesce,
                right,
                ..
            } => find(right),
            _ => None,
        }
    }
    find(expr).unwrap_or(expr.span)
}
