//! Types as authors declare them, resolved.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use super::names::{Global, Names};
use crate::catalog::{Catalog, SchemaId};
use crate::diag::{Code, Diagnostic, nearest};
use crate::package::ModuleId;
use crate::source::Span;
use crate::syntax::ast::{self, Base, Expr, ExprKind, TypeExpr, TypeKind};
use crate::types::{Bounds, Part, Record, Type};

/// Resolves declared types, each named one once.
pub(super) struct Declared<'c, 'p> {
    names: &'c Names<'p>,
    /// Without one, types of APIs are `any`.
    catalog: Option<&'c Catalog>,
    /// By the place of the type's expression; None while it is being resolved.
    known: HashMap<Span, Option<Type>>,
    pub problems: Vec<Diagnostic>,
    /// Declarations that were referred to.
    pub used: Vec<Span>,
}

impl<'c, 'p> Declared<'c, 'p> {
    pub fn new(names: &'c Names<'p>, catalog: Option<&'c Catalog>) -> Self {
        Declared {
            names,
            catalog,
            known: HashMap::new(),
            problems: Vec::new(),
            used: Vec::new(),
        }
    }

    pub fn resolve(&mut self, module: ModuleId, ty: &TypeExpr) -> Type {
        match self.known.get(&ty.span) {
            Some(Some(known)) => return known.clone(),
            Some(None) => return self.endless(ty.span),
            None => {}
        }
        self.known.insert(ty.span, None);
        let found = self.kind(module, ty);
        self.known.insert(ty.span, Some(found.clone()));
        found
    }

    fn endless(&mut self, span: Span) -> Type {
        self.problems.push(
            Diagnostic::error(Code::BAD_TYPE, span, "this type contains itself")
                .help("a value of it could never end: use `any` for the inner part"),
        );
        Type::Unknown
    }

    fn kind(&mut self, module: ModuleId, ty: &TypeExpr) -> Type {
        match &ty.kind {
            TypeKind::Base {
                base,
                min,
                max,
                matches,
            } => self.base(*base, min.as_deref(), max.as_deref(), matches.as_ref()),
            TypeKind::Literal(text) => Type::Literal(Arc::clone(text)),
            TypeKind::List(element) => Type::list(self.resolve(module, element)),
            TypeKind::Map(value) => Type::map(self.resolve(module, value)),
            TypeKind::Nullable(inner) => self.resolve(module, inner).nullable(),
            TypeKind::Union(members) => {
                let members: Vec<Type> = members.iter().map(|m| self.resolve(module, m)).collect();
                Type::join(members)
            }
            TypeKind::Record(fields) => self.record(module, fields),
            TypeKind::Path(path) => self.path(module, path),
            TypeKind::Broken => Type::Unknown,
        }
    }

    fn record(&mut self, module: ModuleId, fields: &[ast::TypeField]) -> Type {
        let mut record = Record::default();
        for field in fields {
            let part = Part {
                ty: self.resolve(module, &field.ty),
                optional: field.optional,
            };
            if record
                .fields
                .insert(Arc::clone(&field.name.text), part)
                .is_some()
            {
                let message = format!("the field `{}` is declared twice", field.name.text);
                self.problems.push(Diagnostic::error(
                    Code::DUPLICATE_NAME,
                    field.name.span,
                    message,
                ));
            }
        }
        Type::Record(Arc::new(record))
    }

    fn path(&mut self, module: ModuleId, path: &[ast::Name]) -> Type {
        let Some(first) = path.first() else {
            return Type::Unknown;
        };
        match self.names.global(module, &first.text) {
            Some(Global::Type(home, def)) if path.len() == 1 => {
                self.used.push(def.name.span);
                if let Some(None) = self.known.get(&def.ty.span) {
                    return self.endless(first.span);
                }
                return self.resolve(home, &def.ty);
            }
            Some(Global::Module(library)) if path.len() == 2 => {
                if let Some(Global::Type(home, def)) = self.names.global(library, &path[1].text) {
                    self.used.push(def.name.span);
                    return self.resolve(home, &def.ty);
                }
                let known = self.type_names(library);
                return self.unknown(&path[1], &known);
            }
            Some(Global::Unknown) => return Type::Unknown,
            _ => {}
        }
        if path.len() == 1 {
            let mut known = self.type_names(module);
            known.extend(BASES.iter().map(|b| (*b).to_owned()));
            return self.unknown(first, &known);
        }
        self.schema(path)
    }

    fn schema(&mut self, path: &[ast::Name]) -> Type {
        let Some(catalog) = self.catalog else {
            return Type::Any;
        };
        let service = &path[0];
        if catalog.service(&service.text).is_none() {
            let known: Vec<String> = catalog.services().map(|s| s.name.to_string()).collect();
            return self.unknown(service, &known);
        }
        let name: Vec<&str> = path[1..].iter().map(|n| &*n.text).collect();
        let id = SchemaId::new(Arc::clone(&service.text), name.join("."));
        if catalog.schema(&id).is_some() {
            return Type::Schema(id);
        }
        let known: Vec<String> = catalog
            .schemas(&service.text)
            .iter()
            .map(|s| s.rsplit('.').next().unwrap_or(s).to_owned())
            .collect();
        self.unknown(&path[path.len() - 1], &known)
    }

    fn type_names(&self, module: ModuleId) -> Vec<String> {
        let names = self.names.globals(module).into_iter();
        names
            .filter(|n| matches!(self.names.global(module, n), Some(Global::Type(..))))
            .map(str::to_owned)
            .collect()
    }

    fn unknown(&mut self, name: &ast::Name, known: &[String]) -> Type {
        let mut finding = Diagnostic::error(
            Code::UNKNOWN_NAME,
            name.span,
            format!("no type is called `{}`", name.text),
        );
        if let Some(near) = nearest(&name.text, known.iter().map(String::as_str)) {
            finding = finding
                .help(format!("did you mean `{near}`?"))
                .fix(name.span, near);
        }
        self.problems.push(finding);
        Type::Unknown
    }

    fn base(
        &mut self,
        base: Base,
        min: Option<&Expr>,
        max: Option<&Expr>,
        matches: Option<&ast::Name>,
    ) -> Type {
        if let Some(pattern) = matches {
            return self.pattern(base, pattern);
        }
        let ty = match base {
            Base::Int => bounds(min, max, |k| match k {
                ExprKind::Int(n) => Some(*n),
                _ => None,
            })
            .map(Type::Int),
            Base::Number => bounds(min, max, |k| match k {
                ExprKind::Int(n) => Some(*n as f64),
                ExprKind::Float(n) => Some(*n),
                _ => None,
            })
            .map(Type::Number),
            Base::Duration => bounds(min, max, |k| match k {
                ExprKind::Duration(n) => Some(*n),
                _ => None,
            })
            .map(Type::Duration),
            Base::Percent => bounds(min, max, |k| match k {
                ExprKind::Percent(n) => Some(*n),
                _ => None,
            })
            .map(Type::Percent),
            Base::Size => bounds(min, max, |k| match k {
                ExprKind::Size(n) => Some(*n),
                _ => None,
            })
            .map(Type::Size),
            Base::String => return self.unbounded(Type::STR, min, max),
            Base::Bool => return self.unbounded(Type::Bool, min, max),
            Base::Timestamp => return self.unbounded(Type::Timestamp, min, max),
            Base::Any => return self.unbounded(Type::Any, min, max),
        };
        match ty {
            Ok(ty) => ty,
            Err((span, message)) => {
                self.problems
                    .push(Diagnostic::error(Code::BAD_TYPE, span, message));
                Type::Unknown
            }
        }
    }

    fn unbounded(&mut self, ty: Type, min: Option<&Expr>, max: Option<&Expr>) -> Type {
        if let Some(bound) = min.or(max) {
            self.problems.push(
                Diagnostic::error(Code::BAD_TYPE, bound.span, format!("`{ty}` has no range"))
                    .help("int, number, duration, percent and size have one"),
            );
        }
        ty
    }

    fn pattern(&mut self, base: Base, pattern: &ast::Name) -> Type {
        if base != Base::String {
            self.problems.push(Diagnostic::error(
                Code::BAD_TYPE,
                pattern.span,
                "only `string` takes `matches`",
            ));
            return Type::Unknown;
        }
        if let Err(e) = Regex::new(&pattern.text) {
            let reason = e.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
            self.problems.push(
                Diagnostic::error(
                    Code::BAD_TYPE,
                    pattern.span,
                    "this is no regular expression",
                )
                .label(reason.trim_start_matches("error: ").to_owned()),
            );
            return Type::STR;
        }
        Type::Str(Some(Arc::clone(&pattern.text)))
    }
}

const BASES: [&str; 11] = [
    "int",
    "number",
    "string",
    "bool",
    "duration",
    "percent",
    "size",
    "timestamp",
    "any",
    "list",
    "map",
];

/// Both bounds of a range, as values of its base type.
fn bounds<T: PartialOrd + Copy + Negate>(
    min: Option<&Expr>,
    max: Option<&Expr>,
    read: impl Fn(&ExprKind) -> Option<T>,
) -> Result<Bounds<T>, (Span, &'static str)> {
    let side = |bound: Option<&Expr>| match bound {
        None => Ok(None),
        Some(expr) => {
            let value = match &*expr.kind {
                ExprKind::Neg(inner) => read(&inner.kind).and_then(T::negated),
                kind => read(kind),
            };
            match value {
                Some(value) => Ok(Some(value)),
                None => Err((
                    expr.span,
                    "a bound is a literal of the type whose range it limits",
                )),
            }
        }
    };
    let bounds = Bounds {
        min: side(min)?,
        max: side(max)?,
    };
    match (bounds.min, bounds.max, max) {
        (Some(low), Some(high), Some(at)) if high < low => Err((
            at.span,
            "nothing lies in this range: its end is below its start",
        )),
        _ => Ok(bounds),
    }
}

trait Negate: Sized {
    fn negated(self) -> Option<Self>;
}

impl Negate for i64 {
    fn negated(self) -> Option<i64> {
        self.checked_neg()
    }
}

impl Negate for f64 {
    fn negated(self) -> Option<f64> {
        Some(-self)
    }
}

impl Negate for u64 {
    fn negated(self) -> Option<u64> {
        None
    }
}
