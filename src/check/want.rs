//! Whether a value fits where it stands, and what to say when it does not.
//!
//! Literals are looked into, so that the underline is as short as the mistake; everything else is
//! compared by its type.

use std::sync::Arc;

use super::Checker;
use super::misfit::{
    Misfit, constant, mismatch, named, null_misfit, nullable_misfit, plain_field, range_misfit,
    unit_help, unit_mismatch, unit_takes,
};
use super::scope::Scope;
use crate::catalog::{Field, Kind, Method, Param, SchemaId, Unit, coerce};
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{self, BinaryOp, Expr, ExprKind, Key, Object};
use crate::types::{Bounds, Choices, Type};

/// Records in records are compared no deeper than this.
const DEEPEST_COMPARED: u32 = 12;

/// What a field, an argument, an input or an item takes.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub ty: Type,
    /// How people call the place: a field's or a parameter's name.
    pub name: Arc<str>,
    /// Set for what goes to an API.
    pub api: Option<Api>,
    /// Whether `unset` may stand here.
    pub unset: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Api {
    pub kind: Kind,
    pub unit: Option<Unit>,
    /// The method that gets the body; None for a parameter.
    pub method: Option<Arc<Method>>,
    /// `null` is sent: it deletes the field.
    pub null: bool,
}

impl Want {
    /// A place whose type an author declared.
    pub fn declared(name: &str, ty: Type) -> Want {
        Want {
            ty,
            name: Arc::from(name),
            api: None,
            unset: false,
        }
    }

    fn inside(&self, ty: Type, kind: impl FnOnce(&Kind) -> Option<Kind>) -> Want {
        let api = self.api.as_ref().map(|api| Api {
            kind: kind(&api.kind).unwrap_or(Kind::Any),
            ..api.clone()
        });
        Want {
            ty,
            name: Arc::clone(&self.name),
            api,
            unset: true,
        }
    }

    pub fn element(&self, ty: Type) -> Want {
        self.inside(ty, |kind| match kind {
            Kind::List(inner) | Kind::Map(inner) => Some((**inner).clone()),
            _ => None,
        })
    }
}

impl<'p> Checker<'_, 'p> {
    /// Checks a value against the place where it stands.
    pub(super) fn fit(&mut self, expr: &'p Expr, want: &Want, scope: &mut Scope) {
        match &*expr.kind {
            ExprKind::Paren(inner) => self.fit(inner, want, scope),
            ExprKind::Unset if want.unset => {}
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                self.condition(condition, scope);
                self.under(condition, true, scope, |c, s| c.fit(then, want, s));
                self.under(condition, false, scope, |c, s| c.fit(otherwise, want, s));
            }
            ExprKind::Binary {
                op: BinaryOp::Coalesce,
                left,
                right,
            } => {
                let ty = self.infer(left, scope).without_null();
                self.fits(&ty, want, left.span);
                self.fit(right, want, scope);
            }
            ExprKind::Object(object) => self.fit_object(object, expr, want, scope),
            ExprKind::List(items) => match list_element(&want.ty) {
                Some(element) => {
                    let inner = want.element(element);
                    items.iter().for_each(|item| self.fit(item, &inner, scope));
                }
                None => self.fit_plain(expr, want, scope),
            },
            ExprKind::ListComp { element, binder } => match list_element(&want.ty) {
                Some(ty) => {
                    let inner = want.element(ty);
                    self.bound(binder, scope, |c, s| c.fit(element, &inner, s));
                }
                None => self.fit_plain(expr, want, scope),
            },
            ExprKind::MapComp { key, value, binder } => match map_value(&want.ty) {
                Some(ty) => {
                    let inner = want.element(ty);
                    self.bound(binder, scope, |c, s| {
                        c.map_key(key, s);
                        c.fit(value, &inner, s);
                    });
                }
                None => self.fit_plain(expr, want, scope),
            },
            _ => self.fit_plain(expr, want, scope),
        }
    }

    fn fit_plain(&mut self, expr: &'p Expr, want: &Want, scope: &mut Scope) {
        let ty = self.infer(expr, scope);
        self.fits(&ty, want, expr.span);
    }

    fn fit_object(&mut self, object: &'p Object, expr: &'p Expr, want: &Want, scope: &mut Scope) {
        let ty = object_like(&want.ty);
        match &ty {
            Some(ty @ (Type::Schema(_) | Type::Inline(_))) => match self.schema(ty) {
                Some(schema) => self.body_object(object, &schema, want, &[], scope),
                None => self.fit_plain(expr, want, scope),
            },
            Some(Type::Record(record)) => {
                let record = Arc::clone(record);
                self.fit_record(object, &record, want, scope);
            }
            Some(Type::Map(value)) => {
                let inner = want.element((**value).clone());
                self.written_twice(object);
                for field in &object.fields {
                    match field {
                        ast::Field::Pair { key, value, .. } => {
                            if let Key::Computed(key) = key {
                                self.map_key(key, scope);
                            }
                            self.fit(value, &inner, scope);
                        }
                        ast::Field::Spread { value, .. } => self.fit_plain(value, want, scope),
                    }
                }
            }
            _ => self.fit_plain(expr, want, scope),
        }
    }

    /// An object literal where an author declared a record.
    fn fit_record(
        &mut self,
        object: &'p Object,
        record: &crate::types::Record,
        want: &Want,
        scope: &mut Scope,
    ) {
        self.written_twice(object);
        let mut open = false;
        let mut given: Vec<&str> = Vec::new();
        for field in &object.fields {
            match field {
                ast::Field::Pair {
                    key: Key::Name(name),
                    value,
                    ..
                } => match record.fields.get(&name.text) {
                    Some(part) => {
                        given.push(&name.text);
                        let mut inner = Want::declared(&name.text, part.ty.clone());
                        inner.unset = part.optional;
                        if part.optional {
                            inner.ty = inner.ty.nullable();
                        }
                        self.fit(value, &inner, scope);
                    }
                    None => {
                        // It was meant to be one of those that are missing.
                        open = true;
                        self.quietly(|c| c.infer_item(value, scope));
                        self.unknown_key(name, &want.name, record.fields.keys());
                    }
                },
                ast::Field::Pair {
                    key: Key::Computed(key),
                    value,
                    ..
                } => {
                    open = true;
                    self.map_key(key, scope);
                    self.infer_item(value, scope);
                }
                ast::Field::Spread { value, .. } => {
                    open = true;
                    self.infer(value, scope);
                }
            }
        }
        let missing: Vec<String> = record
            .fields
            .iter()
            .filter(|(name, part)| !part.optional && !given.contains(&&***name))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        if !open && !missing.is_empty() {
            self.report(
                Diagnostic::error(
                    Code::TYPE_MISMATCH,
                    object.span,
                    format!("{} is missing in `{}`", missing.join(", "), want.name),
                )
                .help("every field is needed that is not declared with `?`"),
            );
        }
    }

    fn unknown_key<'a>(
        &mut self,
        name: &ast::Name,
        place: &str,
        known: impl Iterator<Item = &'a Arc<str>>,
    ) {
        let known: Vec<&str> = known.map(|k| &**k).collect();
        let mut finding = Diagnostic::error(
            Code::UNKNOWN_FIELD,
            name.span,
            format!("`{place}` has no field `{}`", name.text),
        );
        finding = match nearest(&name.text, known.iter().copied()) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(name.span, near),
            None => {
                let known: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
                finding.help(format!("it has {}", known.join(", ")))
            }
        };
        self.report(finding);
    }

    /// Checks a type against the place where its value stands.
    pub(super) fn fits(&mut self, ty: &Type, want: &Want, span: Span) {
        if let Some(misfit) = self.misfit(ty, want, span) {
            self.report(misfit.at(span));
        }
    }

    fn misfit(&mut self, ty: &Type, want: &Want, span: Span) -> Option<Misfit> {
        let wanted = want.ty.clone().unsealed().0;
        match (ty, &wanted) {
            (Type::Secret(inner), _) => self.misfit(&Arc::clone(inner), want, span),
            (Type::Unknown | Type::Any | Type::Never | Type::Unset, _)
            | (_, Type::Unknown | Type::Any) => None,
            (Type::Null, Type::Null | Type::Nullable(_)) => None,
            (Type::Null, _) => null_misfit(want),
            (Type::Nullable(inner), w) => {
                if !w.may_be_null() {
                    return Some(nullable_misfit(ty, want));
                }
                self.misfit(&Arc::clone(inner), want, span)
            }
            (_, Type::Nullable(inner)) => {
                let bare = Want {
                    ty: (**inner).clone(),
                    ..want.clone()
                };
                self.misfit(ty, &bare, span)
            }
            (Type::Union(members), _) => {
                let members = Arc::clone(members);
                members.iter().find_map(|m| self.misfit(m, want, span))
            }
            (_, Type::Union(members)) => self.union_misfit(ty, &Arc::clone(members), want, span),
            (Type::List(inner), Type::List(element)) => {
                let inner = Arc::clone(inner);
                self.misfit(&inner, &want.element((**element).clone()), span)
            }
            (Type::Map(inner), Type::Map(value)) => {
                let inner = Arc::clone(inner);
                self.misfit(&inner, &want.element((**value).clone()), span)
            }
            (Type::Record(record), Type::Map(value)) => {
                let inner = want.element((**value).clone());
                let record = Arc::clone(record);
                record
                    .fields
                    .values()
                    .find_map(|part| self.misfit(&part.ty, &inner, span))
            }
            (Type::Record(from), Type::Record(into)) => {
                self.record_misfit(&Arc::clone(from), &Arc::clone(into), want, span)
            }
            (Type::Map(_) | Type::Schema(_) | Type::Inline(_), Type::Record(_)) => None,
            (Type::Record(from), Type::Schema(_) | Type::Inline(_)) => {
                self.schema_misfit(&Arc::clone(from), &wanted, want, span)
            }
            (Type::Schema(a), Type::Schema(b)) if a != b => self.other_schema(a, &wanted, want),
            (
                Type::Schema(_) | Type::Inline(_) | Type::Map(_),
                Type::Schema(_) | Type::Inline(_) | Type::Map(_),
            ) => None,
            (Type::Duration(_), Type::Schema(id)) if &*id.name == "Duration" => None,
            _ => self.scalar_misfit(ty, &wanted, want, span),
        }
    }

    fn union_misfit(
        &mut self,
        ty: &Type,
        members: &[Type],
        want: &Want,
        span: Span,
    ) -> Option<Misfit> {
        let mut first = None;
        for member in members {
            let one = Want {
                ty: member.clone(),
                ..want.clone()
            };
            let misfit = self.quietly(|c| c.misfit(ty, &one, span))?;
            first.get_or_insert(misfit);
        }
        let literals: Vec<Arc<str>> = members.iter().filter_map(Type::constant_text).collect();
        if let Type::Literal(text) = ty
            && literals.len() == members.len()
        {
            let message = format!("`{}` is never {text:?}", want.name);
            let mut misfit = Misfit::new(Code::BAD_VALUE, message);
            misfit.choices = Some((Arc::clone(text), literals));
            return Some(misfit);
        }
        Some(mismatch(ty, want))
    }

    fn record_misfit(
        &mut self,
        from: &crate::types::Record,
        into: &crate::types::Record,
        want: &Want,
        span: Span,
    ) -> Option<Misfit> {
        if std::ptr::eq(from, into) || self.compared >= DEEPEST_COMPARED {
            return None;
        }
        self.compared += 1;
        let misfit = self.field_misfit(from, into, want, span);
        self.compared -= 1;
        misfit
    }

    fn field_misfit(
        &mut self,
        from: &crate::types::Record,
        into: &crate::types::Record,
        want: &Want,
        span: Span,
    ) -> Option<Misfit> {
        for (name, part) in &into.fields {
            match from.fields.get(name) {
                None if part.optional || part.ty.may_be_null() => {}
                None => {
                    let message = format!("`{name}` is missing in the value for `{}`", want.name);
                    return Some(Misfit::new(Code::TYPE_MISMATCH, message));
                }
                Some(given) => {
                    let ty = if part.optional {
                        part.ty.clone().nullable()
                    } else {
                        part.ty.clone()
                    };
                    let inner = Want::declared(name, ty);
                    if let Some(misfit) = self.misfit(&given.ty, &inner, span) {
                        return Some(misfit);
                    }
                }
            }
        }
        let extra = from.fields.keys().find(|n| !into.fields.contains_key(*n))?;
        let message = format!("`{}` has no field `{extra}`", want.name);
        Some(Misfit::new(Code::UNKNOWN_FIELD, message))
    }

    /// A record that was put together elsewhere, as the body of a resource or a part of it.
    fn schema_misfit(
        &mut self,
        from: &crate::types::Record,
        into: &Type,
        want: &Want,
        span: Span,
    ) -> Option<Misfit> {
        let schema = self.schema(into)?;
        if schema.other.is_some() {
            return None;
        }
        for (name, part) in &from.fields {
            let Some(field) = schema.field(name) else {
                let message = format!("`{}` has no field `{name}`", schema.id);
                let misfit = Misfit::new(Code::UNKNOWN_BODY_FIELD, message);
                return Some(match nearest(name, schema.fields.keys().map(|k| &**k)) {
                    Some(near) => misfit.help(format!("did you mean `{near}`?")),
                    None => misfit,
                });
            };
            let method = want.api.as_ref().and_then(|a| a.method.clone());
            let inner = self.want_field(name, field, method);
            if let Some(misfit) = self.misfit(&part.ty, &inner, span) {
                return Some(misfit);
            }
        }
        None
    }

    /// Another type of the API: fine when it is the same in all but its name.
    fn other_schema(&mut self, from: &SchemaId, into: &Type, want: &Want) -> Option<Misfit> {
        let source = self.catalog.schema(from)?;
        let target = self.schema(into)?;
        let extra = source
            .fields
            .iter()
            .filter(|(_, f)| !f.output_only)
            .find(|(name, _)| target.field(name).is_none());
        let (name, _) = extra?;
        Some(mismatch(&Type::Schema(from.clone()), want).help(format!(
            "`{from}` has `{name}`, and `{}` has not",
            target.id
        )))
    }

    fn scalar_misfit(
        &mut self,
        ty: &Type,
        wanted: &Type,
        want: &Want,
        span: Span,
    ) -> Option<Misfit> {
        if let Some(api) = &want.api {
            let unit = matches!(ty, Type::Duration(_) | Type::Percent(_) | Type::Size(_));
            if unit || constant(ty).is_some() {
                let api = api.clone();
                return self.api_constant(ty, &api, want, span);
            }
        }
        let fine = match (ty, wanted) {
            (Type::Int(a), Type::Int(b)) => return range_misfit(a.meets(b), ty, want),
            (Type::Number(a), Type::Number(b)) => return range_misfit(a.meets(b), ty, want),
            (Type::Percent(a), Type::Percent(b)) => return range_misfit(a.meets(b), ty, want),
            (Type::Size(a), Type::Size(b)) => return range_misfit(a.meets(b), ty, want),
            (Type::Duration(a), Type::Duration(b)) => return range_misfit(a.meets(b), ty, want),
            (Type::Int(a), Type::Number(b)) => {
                let a = Bounds {
                    min: a.min.map(|n| n as f64),
                    max: a.max.map(|n| n as f64),
                };
                return range_misfit(a.meets(b), ty, want);
            }
            (Type::Literal(text), Type::Str(Some(pattern))) => {
                let (text, pattern) = (Arc::clone(text), Arc::clone(pattern));
                if self.matches(&pattern, &text) {
                    return None;
                }
                let message = format!("{text:?} does not match {pattern:?}");
                return Some(
                    Misfit::new(Code::BAD_VALUE, message).help("the whole text has to match"),
                );
            }
            (Type::Literal(a), Type::Literal(b)) if a == b => true,
            (Type::Literal(text), Type::Literal(b)) => {
                let message = format!("`{}` is never {text:?}", want.name);
                let mut misfit = Misfit::new(Code::BAD_VALUE, message);
                misfit.choices = Some((Arc::clone(text), vec![Arc::clone(b)]));
                return Some(misfit);
            }
            (text, Type::Str(_) | Type::Link | Type::Enum(_)) => {
                text.is_text() || (want.api.is_some() && matches!(text, Type::Timestamp))
            }
            (Type::Number(_), Type::Int(_)) if want.api.is_none() => false,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        (!fine).then(|| mismatch(ty, want))
    }

    /// What the catalogue says of a literal: units, values, patterns, ranges.
    fn api_constant(&mut self, ty: &Type, api: &Api, want: &Want, span: Span) -> Option<Misfit> {
        if let (Type::Literal(text), Kind::String { values, .. }) = (ty, &api.kind)
            && !values.is_empty()
        {
            return match values.iter().find(|v| v.name == *text) {
                Some(value) if value.deprecated => {
                    let message = format!("`{}` {text:?} is deprecated", want.name);
                    self.report(Diagnostic::warning(Code::DEPRECATED, span, message));
                    None
                }
                Some(_) => None,
                None => {
                    let message = format!("`{}` has no value {text:?}", want.name);
                    let known = values
                        .iter()
                        .filter(|v| !v.deprecated)
                        .map(|v| Arc::clone(&v.name));
                    let mut misfit = Misfit::new(Code::WRONG_ENUM, message);
                    misfit.choices = Some((Arc::clone(text), known.collect()));
                    Some(misfit)
                }
            };
        }
        let Some(value) = constant(ty) else {
            return (!unit_takes(api, ty)).then(|| unit_mismatch(ty, want));
        };
        let structural = matches!(
            api.kind,
            Kind::List(_) | Kind::Map(_) | Kind::Schema(_) | Kind::Inline(_)
        );
        if structural {
            return Some(mismatch(ty, want));
        }
        let field = plain_field(api.kind.clone(), api.unit);
        let problems = coerce::field(self.catalog, &field, &want.name, &value).err()?;
        let message = problems.first().map(|p| p.message.clone())?;
        let number_kind = matches!(api.kind, Kind::Int { .. } | Kind::Number { .. });
        let code = match ty {
            Type::Duration(_) | Type::Percent(_) | Type::Size(_) => Code::WRONG_UNIT,
            Type::Literal(_) if matches!(api.kind, Kind::String { .. }) => Code::BAD_PATTERN,
            Type::Int(_) | Type::Number(_) if number_kind => Code::BAD_PATTERN,
            _ => return Some(mismatch(ty, want)),
        };
        let misfit = Misfit::new(code, named(&want.name, &message));
        Some(match code {
            Code::WRONG_UNIT => misfit.help(unit_help(ty, api)),
            _ => misfit,
        })
    }

    /// The type that a field of an API has when it is read.
    pub(super) fn field_type(&mut self, field: &Field) -> Type {
        self.kind_type(&field.kind, field.reference)
    }

    pub(super) fn kind_type(&mut self, kind: &Kind, reference: bool) -> Type {
        match kind {
            Kind::Bool => Type::Bool,
            Kind::String { values, .. } if !values.is_empty() => {
                let values = values
                    .iter()
                    .map(|v| (Arc::clone(&v.name), v.deprecated))
                    .collect();
                Type::Enum(Arc::new(Choices { values }))
            }
            Kind::String { .. } if reference => Type::Link,
            Kind::String { .. } => Type::STR,
            Kind::Int { .. } => Type::INT,
            Kind::Number { .. } => Type::NUMBER,
            Kind::Any => Type::Any,
            Kind::List(inner) => Type::list(self.kind_type(inner, reference)),
            Kind::Map(inner) => Type::map(self.kind_type(inner, reference)),
            Kind::Schema(id) => match self.catalog.schema(id) {
                None => Type::Any,
                Some(schema) => match &schema.other {
                    Some(other) => self.kind_type(&other.clone(), reference),
                    None => Type::Schema(id.clone()),
                },
            },
            Kind::Inline(schema) => match &schema.other {
                Some(other) => self.kind_type(&other.clone(), reference),
                None => Type::Inline(Arc::clone(schema)),
            },
        }
    }

    pub(super) fn want_field(
        &mut self,
        name: &Arc<str>,
        field: &Field,
        method: Option<Arc<Method>>,
    ) -> Want {
        let null = method
            .as_ref()
            .is_some_and(|m| m.verb == crate::wire::Verb::Patch || &*m.name == "patch");
        Want {
            ty: self.field_type(field),
            name: Arc::clone(name),
            api: Some(Api {
                kind: field.kind.clone(),
                unit: field.unit,
                method,
                null,
            }),
            unset: true,
        }
    }

    pub(super) fn want_param(&mut self, param: &Param) -> Want {
        let kind = match param.repeated {
            true => Kind::List(Box::new(param.kind.clone())),
            false => param.kind.clone(),
        };
        Want {
            ty: self.kind_type(&kind, false),
            name: Arc::clone(&param.name),
            api: Some(Api {
                kind,
                unit: None,
                method: None,
                null: false,
            }),
            unset: !param.required,
        }
    }
}

/// The type of the elements, where a list literal can stand.
fn list_element(ty: &Type) -> Option<Type> {
    match ty {
        Type::List(element) => Some((**element).clone()),
        Type::Nullable(inner) | Type::Secret(inner) => list_element(inner),
        Type::Union(members) => only(members.iter().filter_map(list_element)),
        _ => None,
    }
}

fn map_value(ty: &Type) -> Option<Type> {
    match ty {
        Type::Map(value) => Some((**value).clone()),
        Type::Nullable(inner) | Type::Secret(inner) => map_value(inner),
        _ => None,
    }
}

/// The type that an object literal must have here.
fn object_like(ty: &Type) -> Option<Type> {
    match ty {
        Type::Record(_) | Type::Map(_) | Type::Schema(_) | Type::Inline(_) => Some(ty.clone()),
        Type::Nullable(inner) | Type::Secret(inner) => object_like(inner),
        Type::Union(members) => only(members.iter().filter_map(object_like)),
        _ => None,
    }
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}
