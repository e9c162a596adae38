//! Requests that are no Google API.

use super::Checker;
use super::scope::{IT_NOWHERE, Scope};
use super::steps::StepPlace;
use super::want::Want;
use crate::catalog::{Method, SettleClass};
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{ClauseKind, Expr, Field, HttpCall, Key, OnOutcome, Step};
use crate::types::Type;
use crate::wire::Verb;

const OPTIONS: [&str; 4] = ["query", "headers", "json", "text"];
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// What an `http` step gives.
pub(super) fn answer() -> Type {
    Type::record([
        ("status", Type::INT),
        ("headers", Type::map(Type::STR)),
        ("text", Type::STR),
        ("json", Type::Any),
    ])
}

impl<'p> Checker<'_, 'p> {
    pub(super) fn http(&mut self, place: &StepPlace<'_, 'p>, http: &'p HttpCall) {
        if Verb::parse(&http.method.text).is_none() {
            let finding = Diagnostic::error(
                Code::UNKNOWN_NAME,
                http.method.span,
                format!("HTTP has no method `{}`", http.method.text),
            );
            self.report(match nearest(&http.method.text, METHODS) {
                Some(near) => finding
                    .help(format!("did you mean `{near}`?"))
                    .fix(http.method.span, near),
                None => finding.help(format!("it is one of {}", METHODS.join(", "))),
            });
        }
        let mut scope = self.placed(place, IT_NOWHERE);
        self.url(&http.url, &mut scope);
        let Some(options) = &http.options else { return };
        self.written_twice(options);
        for field in &options.fields {
            match field {
                Field::Pair {
                    key: Key::Name(name),
                    value,
                    ..
                } => self.option(name, value, &mut scope),
                Field::Pair {
                    key: Key::Computed(key),
                    value,
                    ..
                } => {
                    self.map_key(key, &mut scope);
                    self.infer_item(value, &mut scope);
                }
                Field::Spread { value, .. } => {
                    self.infer(value, &mut scope);
                }
            }
        }
    }

    fn url(&mut self, url: &'p Expr, scope: &mut Scope) {
        let ty = self.infer(url, scope);
        // The address of a webhook may be a secret as a whole; a secret inside one may not.
        let whole = matches!(&*url.kind, crate::syntax::ast::ExprKind::Name(_));
        if ty.holds_secret() && !whole {
            self.leak(
                url.span,
                "part of a URL",
                "URLs are in logs of both sides: put it into `query` or `headers`",
            );
        }
        let quiet = ty.unsealed().0;
        if let Type::Literal(text) = &quiet
            && !text.starts_with("https://")
            && !text.starts_with("http://")
        {
            self.report(
                Diagnostic::error(
                    Code::BAD_VALUE,
                    url.span,
                    "this is no address that `http` can ask",
                )
                .help("begin it with `https://` or `http://`"),
            );
        } else if !quiet.is_loose() && !quiet.is_text() {
            self.fits(&quiet, &Want::declared("the address", Type::STR), url.span);
        }
    }

    fn option(&mut self, name: &crate::syntax::ast::Name, value: &'p Expr, scope: &mut Scope) {
        let want = match &*name.text {
            "query" | "headers" => {
                let ty = self.infer_item(value, scope).unsealed().0;
                let object =
                    ty.is_loose() || matches!(ty, Type::Record(_) | Type::Map(_) | Type::Unset);
                if !object {
                    let want = Want::declared(&name.text, Type::map(Type::STR));
                    self.fits(&ty, &want, value.span);
                }
                return;
            }
            "json" => Type::Any,
            "text" => Type::STR,
            other => {
                let finding = Diagnostic::error(
                    Code::UNKNOWN_FIELD,
                    name.span,
                    format!("`http` has no option `{other}`"),
                );
                self.report(match nearest(other, OPTIONS) {
                    Some(near) => finding
                        .help(format!("did you mean `{near}`?"))
                        .fix(name.span, near),
                    None => finding.help(format!("it has {}", OPTIONS.join(", "))),
                });
                self.quietly(|c| c.infer_item(value, scope));
                return;
            }
        };
        let mut want = Want::declared(&name.text, want);
        want.unset = true;
        self.fit(value, &want, scope);
    }

    /// A request that changes something has to say how to find out whether it arrived (C20).
    pub(super) fn unsettled(&mut self, place: &StepPlace<'_, 'p>, http: &HttpCall) {
        let repeatable = matches!(
            Verb::parse(&http.method.text),
            Some(Verb::Get | Verb::Head | Verb::Put | Verb::Delete) | None
        );
        let settles = place
            .step
            .clauses
            .iter()
            .any(|c| matches!(c.kind, ClauseKind::Settle { .. }));
        if repeatable || settles || says_what_doubt_means(place.step) {
            return;
        }
        if !Self::in_event(place.flow, place.block) {
            self.report(
                Diagnostic::error(
                    Code::UNSETTLED,
                    http.method.span,
                    format!(
                        "when the answer of this {} is lost, nothing tells whether it arrived",
                        http.method.text
                    ),
                )
                .help(
                    "add `settle http GET … when …`, which says how to see that it arrived; `repeat safe` when \
                     sending it twice does no harm; or `on doubt ask`: the run stops with exit code 7",
                ),
            );
        }
    }

    /// A call whose effect the catalogue cannot find out needs the author's word.
    pub(super) fn unsettled_call(&mut self, step: &Step, method: &Method, span: Span) {
        let Some(why) = doubt(method.settle).filter(|_| !says_what_doubt_means(step)) else {
            return;
        };
        self.report(
            Diagnostic::error(
                Code::UNSETTLED,
                span,
                format!("when the answer of `{}` is lost, {why}", method.id),
            )
            .help(
                "add `repeat safe` when sending it twice does no harm, or `on doubt ask`: the run stops with exit \
                 code 7",
            ),
        );
    }
}

/// What is lost with the answer of a call of this class; `None` where the run finds out by itself.
fn doubt(class: SettleClass) -> Option<&'static str> {
    match class {
        _ if class.settles_itself() => None,
        SettleClass::OnceOnlyResult => {
            Some("what it made is there, and its secret is lost with the answer")
        }
        _ => Some("nothing tells whether it happened"),
    }
}

fn says_what_doubt_means(step: &Step) -> bool {
    step.clauses.iter().any(|c| {
        matches!(
            c.kind,
            ClauseKind::RepeatSafe
                | ClauseKind::On {
                    outcome: OnOutcome::Doubt,
                    ..
                }
        )
    })
}
