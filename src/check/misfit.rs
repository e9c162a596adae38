//! Why a value does not fit where it stands, in words.

use std::sync::Arc;

use super::operators::with_choices;
use super::want::{Api, Want};
use crate::catalog::{Field, Kind, ListKind, Unit};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::types::Type;
use crate::value::Value;
use crate::world::Millis;

/// Why a value does not fit.
pub(super) struct Misfit {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) choices: Option<(Arc<str>, Vec<Arc<str>>)>,
}

impl Misfit {
    pub(super) fn new(code: Code, message: String) -> Self {
        Misfit {
            code,
            message,
            help: None,
            choices: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn at(self, span: Span) -> Diagnostic {
        let mut finding = Diagnostic::error(self.code, span, self.message);
        finding.help = self.help;
        match self.choices {
            Some((text, known)) => with_choices(finding, &text, &known, span),
            None => finding,
        }
    }
}

/// The message of the catalogue begins with the place already, or is the end of a sentence.
pub(super) fn named(name: &str, message: &str) -> String {
    match message.starts_with('`') {
        true => message.to_owned(),
        false => format!("`{name}` {message}"),
    }
}

pub(super) fn plain_field(kind: Kind, unit: Option<Unit>) -> Field {
    Field {
        kind,
        output_only: false,
        input_only: false,
        secret: false,
        immutable: false,
        required: false,
        deprecated: false,
        reference: false,
        list: ListKind::Ordered,
        unit,
        default: None,
        required_for: Vec::new(),
    }
}

/// The value, where the type leaves only one.
pub(super) fn constant(ty: &Type) -> Option<Value> {
    Some(match ty {
        Type::Literal(text) => Value::Str(Arc::clone(text)),
        Type::Int(b) => Value::Int(b.constant()?),
        Type::Number(b) => Value::Float(b.constant()?),
        Type::Duration(b) => Value::Duration(Millis(b.constant()?)),
        Type::Percent(b) => Value::Percent(b.constant()?),
        Type::Size(b) => Value::Size(b.constant()?),
        _ => return None,
    })
}

pub(super) fn unit_takes(api: &Api, ty: &Type) -> bool {
    use Unit::*;
    let google =
        matches!(&api.kind, Kind::String { format: Some(f), .. } if &**f == "google-duration");
    match (ty, api.unit) {
        (Type::Duration(_), unit) => {
            google
                || matches!(
                    unit,
                    Some(
                        Seconds | Millis | Micros | Nanos | Minutes | Hours | Days | GoogleDuration
                    )
                )
        }
        (Type::Percent(_), Some(Fraction | Percent)) => true,
        (Type::Size(_), Some(Bytes | MiB | GiB)) => true,
        _ => matches!(api.kind, Kind::Any),
    }
}

pub(super) fn unit_mismatch(ty: &Type, want: &Want) -> Misfit {
    let message = format!(
        "`{}` takes {}, not a {}",
        want.name,
        plain_noun(&want.ty),
        ty.clone().widened()
    );
    Misfit::new(Code::WRONG_UNIT, message)
}

pub(super) fn plain_noun(ty: &Type) -> String {
    match ty {
        Type::Int(_) | Type::Number(_) => "a plain number".to_owned(),
        other => format!("`{other}`"),
    }
}

pub(super) fn unit_help(ty: &Type, api: &Api) -> &'static str {
    match (ty, api.unit) {
        (Type::Size(_), Some(Unit::GiB)) => {
            "Google's GB are binary: write `16GiB`, or the plain number"
        }
        (Type::Duration(_), Some(_)) => {
            "write a duration that the field's unit divides, for example `5s` or `1d`"
        }
        (_, None) => "this field takes a plain number or text",
        _ => "write the plain number that the field takes",
    }
}

pub(super) fn mismatch(ty: &Type, want: &Want) -> Misfit {
    let given = ty.clone().widened();
    let message = format!("`{}` takes `{}`, and this is `{given}`", want.name, want.ty);
    let misfit = Misfit::new(Code::TYPE_MISMATCH, message);
    match (ty, &want.ty) {
        (Type::Schema(_), w) if w.is_text() => {
            misfit.help("name one of its fields, for example `.selfLink` or `.name`")
        }
        (t, Type::Duration(_)) if t.is_number() || t.is_text() => {
            misfit.help("durations are written without quotes and with a unit: `30m`, `1h30m`")
        }
        (t, Type::Percent(_)) if t.is_number() || t.is_text() => {
            misfit.help("percentages are written `20%`")
        }
        (t, Type::Size(_)) if t.is_number() || t.is_text() => {
            misfit.help("sizes are written `16GiB`")
        }
        (t, w) if t.is_number() && w.is_text() => {
            misfit.help("make a text of it: `\"${…}\"`, or put the literal in quotes")
        }
        (t, Type::Int(_)) if t.is_text() => misfit.help("make a number of the text: `int(…)`"),
        (Type::Number(_), Type::Int(_)) => {
            misfit.help("make it a whole number: `round(…)`, `floor(…)` or `ceil(…)`")
        }
        (t, Type::List(_)) if !matches!(t, Type::List(_)) => {
            misfit.help("put it into brackets: `[…]`")
        }
        (t, Type::Bool) if t.is_text() => {
            misfit.help("truth values are written `true` and `false`")
        }
        _ => misfit,
    }
}

pub(super) fn range_misfit(fine: bool, ty: &Type, want: &Want) -> Option<Misfit> {
    if fine {
        return None;
    }
    let shown = constant(ty).map_or_else(|| ty.to_string(), |v| v.to_string());
    let message = format!(
        "`{}` takes `{}`, and {shown} is outside",
        want.name, want.ty
    );
    Some(Misfit::new(Code::BAD_VALUE, message))
}

pub(super) fn null_misfit(want: &Want) -> Option<Misfit> {
    match &want.api {
        Some(api) if api.null => None,
        Some(_) => Some(
            Misfit::new(
                Code::NULL_SENT,
                format!("`{}` takes no null here", want.name),
            )
            .help("write `unset` to leave the field out; only a patch takes `null`, which deletes"),
        ),
        None => Some(mismatch(&Type::Null, want)),
    }
}

pub(super) fn nullable_misfit(ty: &Type, want: &Want) -> Misfit {
    let message = format!("`{}` needs a value, and this may be null", want.name);
    let misfit = Misfit::new(Code::MAYBE_NULL, message);
    match want.unset {
        true => misfit.help("write `?? unset` to leave it out then"),
        false => misfit.help(format!(
            "it is `{ty}`: give it another value with `??`, or put the step under `!= null`"
        )),
    }
}
