//! The types of the language's functions.

use crate::diag::Code;
use crate::source::Span;
use crate::types::functions::Function;
use crate::types::{Bounds, Type};

/// Why a call is wrong, and the argument at fault.
pub(super) struct CallProblem {
    pub code: Code,
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}

type Argument = (Type, Span);

/// The type that a function gives for arguments that are all there and bear no secret mark.
pub(super) fn result(function: Function, args: &[Argument]) -> Result<Type, CallProblem> {
    let call = Call { function, args };
    Ok(match function {
        Function::Abs => call.number(0)?.widened(),
        Function::Ceil | Function::Floor | Function::Round => {
            call.number(0)?;
            Type::INT
        }
        Function::Basename
        | Function::Lower
        | Function::Upper
        | Function::Trim
        | Function::Replace => {
            call.texts()?;
            Type::STR
        }
        Function::Distinct | Function::Reverse | Function::Sort => Type::list(call.list(0)?),
        Function::StartsWith | Function::EndsWith | Function::Matches | Function::SameResource => {
            call.texts()?;
            Type::Bool
        }
        Function::Fill => {
            call.text(0)?;
            call.map(1)?;
            Type::STR
        }
        // The secret mark of an inner list becomes one of the whole.
        Function::Flatten => match call.list(0)?.unsealed().0 {
            Type::List(items) => Type::list((*items).clone()),
            other if other.is_loose() => Type::list(Type::Unknown),
            other => return Err(call.wrong(0, "a list of lists", &Type::list(other))),
        },
        // In a policy the checker reads the type itself.
        Function::Earlier | Function::Found | Function::Planned | Function::Sources => {
            Type::list(Type::Unknown)
        }
        Function::Fresh => call.any(0)?,
        Function::Int => {
            call.scalar(0)?;
            Type::INT
        }
        Function::Number => {
            call.scalar(0)?;
            Type::NUMBER
        }
        Function::Join => {
            call.list(0)?;
            call.text(1)?;
            Type::STR
        }
        Function::Keys => {
            call.map(0)?;
            Type::list(Type::STR)
        }
        Function::Values => Type::list(call.map(0)?),
        Function::Len => {
            let ty = call.any(0)?;
            let fine = ty.is_loose()
                || ty.is_text()
                || matches!(ty, Type::List(_) | Type::Map(_) | Type::Record(_));
            if !fine {
                return Err(call.wrong(0, "a list, a map or text", &ty));
            }
            Type::Int(Bounds {
                min: Some(0),
                max: None,
            })
        }
        Function::MergeBy => {
            call.text(0)?;
            let list = match &args[1].0 {
                Type::Null => Type::Never,
                Type::Nullable(inner) => (**inner).clone(),
                other => other.clone(),
            };
            let list = match list {
                Type::List(inner) => (*inner).clone(),
                other if other.is_loose() => Type::Never,
                other => return Err(call.wrong(1, "a list", &other)),
            };
            let more = call.list(2)?;
            match (&list, &more) {
                // Both end in the list of the resource: what is written counts there.
                (Type::Schema(_) | Type::Inline(_), Type::Record(_)) => Type::list(more),
                _ => Type::list(list.or(more)),
            }
        }
        Function::Range => {
            call.number(0)?;
            call.number(1)?;
            Type::list(Type::INT)
        }
        Function::Seconds => {
            let ty = call.any(0)?;
            match ty {
                Type::Duration(b) => Type::Int(Bounds {
                    min: b.constant().filter(|n| n % 1000 == 0).map(|n| n / 1000),
                    max: b.constant().filter(|n| n % 1000 == 0).map(|n| n / 1000),
                }),
                ty if ty.is_loose() => Type::INT,
                other => return Err(call.wrong(0, "a duration", &other)),
            }
        }
        Function::Split => {
            call.texts()?;
            Type::list(Type::STR)
        }
        Function::Text => {
            call.scalar(0)?;
            Type::STR
        }
    })
}

struct Call<'a> {
    function: Function,
    args: &'a [Argument],
}

impl Call<'_> {
    fn any(&self, n: usize) -> Result<Type, CallProblem> {
        let (ty, span) = &self.args[n];
        if ty.may_be_null() && !ty.is_loose() {
            return Err(CallProblem {
                code: Code::MAYBE_NULL,
                span: *span,
                message: format!(
                    "this may be null, and `{}` needs a value",
                    self.function.name()
                ),
                help: Some("give it another value with `??`, for example `?? []`".to_owned()),
            });
        }
        Ok(ty.clone())
    }

    fn wrong(&self, n: usize, wanted: &str, ty: &Type) -> CallProblem {
        let param = self.function.params()[n].trim_end_matches('?');
        CallProblem {
            code: Code::BAD_ARGUMENTS,
            span: self.args[n].1,
            message: format!(
                "`{param}` of `{}` takes {wanted}, and this is `{}`",
                self.function.name(),
                ty.clone().widened()
            ),
            help: None,
        }
    }

    fn number(&self, n: usize) -> Result<Type, CallProblem> {
        let ty = self.any(n)?;
        match ty.is_number() || ty.is_loose() {
            true => Ok(ty),
            false => Err(self.wrong(n, "a number", &ty)),
        }
    }

    fn text(&self, n: usize) -> Result<Type, CallProblem> {
        let ty = self.any(n)?;
        match ty.is_text() || ty.is_loose() {
            true => Ok(ty),
            false => Err(self.wrong(n, "text", &ty)),
        }
    }

    fn texts(&self) -> Result<(), CallProblem> {
        (0..self.args.len()).try_for_each(|n| self.text(n).map(|_| ()))
    }

    fn scalar(&self, n: usize) -> Result<Type, CallProblem> {
        let ty = self.any(n)?;
        let object = matches!(
            ty,
            Type::List(_) | Type::Map(_) | Type::Record(_) | Type::Schema(_) | Type::Inline(_)
        );
        let textual = matches!(self.function, Function::Text) || ty.is_text() || ty.is_number();
        match ty.is_loose() || (textual && !object) {
            true => Ok(ty),
            false => Err(self.wrong(n, "a number or text", &ty)),
        }
    }

    /// The type of the elements.
    fn list(&self, n: usize) -> Result<Type, CallProblem> {
        match self.any(n)? {
            Type::List(inner) => Ok((*inner).clone()),
            ty if ty.is_loose() => Ok(Type::Unknown),
            ty => Err(self.wrong(n, "a list", &ty)),
        }
    }

    /// The type of the values.
    fn map(&self, n: usize) -> Result<Type, CallProblem> {
        match self.any(n)? {
            Type::Map(inner) => Ok((*inner).clone()),
            Type::Record(record) => Ok(Type::join(
                record.fields.values().map(|part| part.ty.clone()),
            )),
            ty if ty.is_loose() => Ok(Type::Unknown),
            ty => Err(self.wrong(n, "a map", &ty)),
        }
    }
}
