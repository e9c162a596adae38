//! The body of a request against the schema that the API documents.

use std::sync::Arc;

use super::Checker;
use super::scope::Scope;
use super::want::Want;
use crate::catalog::{Method, Schema};
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{Field, Key, Name, Object};
use crate::types::Type;

impl<'p> Checker<'_, 'p> {
    /// An object literal of a schema; `identity` are the fields that the arguments give already.
    pub(super) fn body_object(
        &mut self,
        object: &'p Object,
        schema: &Arc<Schema>,
        want: &Want,
        identity: &[Arc<str>],
        scope: &mut Scope,
    ) {
        if let Some(other) = &schema.other {
            let ty = self.kind_type(other, false);
            let inner = want.element(ty.clone());
            for field in &object.fields {
                match (field, &ty) {
                    (Field::Pair { value, .. }, Type::Map(element)) => {
                        let inner = inner.element((**element).clone());
                        self.fit(value, &inner, scope);
                    }
                    (Field::Pair { value, .. } | Field::Spread { value, .. }, _) => {
                        self.infer_item(value, scope);
                    }
                }
            }
            return;
        }
        self.written_twice(object);
        let method = want.api.as_ref().and_then(|api| api.method.clone());
        let mut open = false;
        let mut given: Vec<&str> = Vec::new();
        for field in &object.fields {
            match field {
                Field::Pair {
                    key: Key::Name(name),
                    value,
                    ..
                } => {
                    given.push(&name.text);
                    match self.body_field(name, schema, &method, identity) {
                        Some(inner) => self.fit(value, &inner, scope),
                        // The mistake is the field: what stands in it is not looked at.
                        None => {
                            self.quietly(|c| c.infer_item(value, scope));
                        }
                    }
                }
                Field::Pair {
                    key: Key::Computed(key),
                    value,
                    ..
                } => {
                    open = true;
                    self.map_key(key, scope);
                    self.infer_item(value, scope);
                }
                Field::Spread { value, span } => {
                    open = true;
                    let ty = self.infer(value, scope);
                    self.spread_into(ty, want, *span);
                }
            }
        }
        if !open {
            self.missing_fields(object, schema, &method, identity, &given);
        }
    }

    /// What a field takes; None when it cannot be written, which is reported.
    fn body_field(
        &mut self,
        name: &Name,
        schema: &Arc<Schema>,
        method: &Option<Arc<Method>>,
        identity: &[Arc<str>],
    ) -> Option<Want> {
        let Some(field) = schema.field(&name.text) else {
            self.unknown_body_field(name, schema, method);
            return None;
        };
        if identity.contains(&name.text) {
            self.report(
                Diagnostic::error(
                    Code::IDENTITY_IN_BODY,
                    name.span,
                    format!("`{}` is given by the step's arguments already", name.text),
                )
                .help("remove it from the body: r5flow puts it there"),
            );
            return None;
        }
        if field.output_only {
            self.report(
                Diagnostic::error(
                    Code::OUTPUT_ONLY,
                    name.span,
                    format!("`{}` is set by the server and cannot be written", name.text),
                )
                .help("remove it; read it from the step's result where it is needed"),
            );
            return None;
        }
        if field.deprecated {
            let message = format!("`{}` is deprecated", name.text);
            self.report(Diagnostic::warning(Code::DEPRECATED, name.span, message));
        }
        Some(self.want_field(&name.text, field, method.clone()))
    }

    fn unknown_body_field(&mut self, name: &Name, schema: &Schema, method: &Option<Arc<Method>>) {
        let finding = Diagnostic::error(
            Code::UNKNOWN_BODY_FIELD,
            name.span,
            format!("`{}` has no field `{}`", schema.id, name.text),
        );
        let is_param = method.as_ref().is_some_and(|m| {
            m.request.as_ref() == Some(&schema.id) && m.param(&name.text).is_some()
        });
        let writable = schema
            .fields
            .iter()
            .filter(|(_, f)| !f.output_only)
            .map(|(n, _)| &**n);
        self.report(if is_param {
            finding.help(format!(
                "it is a parameter: write `{}: …` in the parentheses",
                name.text
            ))
        } else if let Some(near) = nearest(&name.text, writable) {
            finding
                .help(format!("did you mean `{near}`?"))
                .fix(name.span, near)
        } else {
            finding.help(format!("`r5flow catalog {}` lists its fields", schema.id))
        });
    }

    /// `...value` in a body: the fields that the server sets are dropped, the others must be fields
    /// of this schema (rule C2).
    fn spread_into(&mut self, ty: Type, want: &Want, span: Span) {
        let bare = ty.unsealed().0;
        match &bare {
            ty if ty.is_loose() => {}
            Type::Map(_) => {}
            Type::Record(_) | Type::Schema(_) | Type::Inline(_) => self.fits(&bare, want, span),
            other => self.no_spread(other, span),
        }
    }

    fn missing_fields(
        &mut self,
        object: &Object,
        schema: &Schema,
        method: &Option<Arc<Method>>,
        identity: &[Arc<str>],
        given: &[&str],
    ) {
        let Some(method) = method else { return };
        let missing: Vec<String> = schema
            .fields
            .iter()
            .filter(|(_, f)| f.required_for.contains(&method.id))
            .filter(|(name, _)| !given.contains(&&***name) && !identity.contains(name))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        if !missing.is_empty() {
            let at = Span {
                end: object.span.start + 1,
                ..object.span
            };
            self.report(
                Diagnostic::error(
                    Code::MISSING_FIELD,
                    at,
                    format!("`{}` needs {}", method.id, missing.join(", ")),
                )
                .label("missing here"),
            );
        }
    }
}
