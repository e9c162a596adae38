//! The clauses of a step: which kinds take them, and of which types they are.

use std::collections::HashMap;

use super::Checker;
use super::calls::root_name;
use super::names::{BlockId, Flow, Meaning};
use super::scope::{IT_NOWHERE, It, Scope};
use super::steps::StepPlace;
use super::want::Want;
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{Clause, ClauseKind, Decision, Expr, Name, OnOutcome};
use crate::types::{Bounds, Type};
use crate::wire::error::ErrorClass;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    Read,
    Ensure,
    Call,
    Wait,
    Pause,
    Approve,
    Http,
    Run,
    Hook,
    /// Did not parse: any clause may stand there.
    Broken,
}

impl StepKind {
    fn name(self) -> &'static str {
        match self {
            StepKind::Read => "`read`",
            StepKind::Ensure => "`ensure`",
            StepKind::Call => "`call`",
            StepKind::Wait => "`wait`",
            StepKind::Pause => "a pause",
            StepKind::Approve => "`approve`",
            StepKind::Http => "`http`",
            StepKind::Run => "`run`",
            StepKind::Hook => "`hook`",
            StepKind::Broken => "this step",
        }
    }
}

/// What `it` means before and after the request of a step.
pub(super) struct Guards {
    pub before: It,
    pub after: It,
    /// A second attempt cannot do the thing twice.
    pub retries: bool,
}

impl Guards {
    pub fn none() -> Guards {
        Guards {
            before: IT_NOWHERE,
            after: IT_NOWHERE,
            retries: true,
        }
    }

    pub fn unknown() -> Guards {
        Guards {
            before: It::Is(Type::Unknown),
            after: It::Is(Type::Unknown),
            retries: true,
        }
    }

    /// Nothing is known before; the answer afterwards.
    pub fn after(ty: Type) -> Guards {
        Guards {
            before: It::Not(
                "is known only after the answer: use it in `until`, `fail when` or `expect`",
            ),
            after: It::Is(ty),
            retries: true,
        }
    }
}

impl<'p> Checker<'_, 'p> {
    pub(super) fn clauses(&mut self, place: &StepPlace<'_, 'p>, kind: StepKind, guards: &Guards) {
        let mut seen: HashMap<&'static str, Span> = HashMap::new();
        for clause in &place.step.clauses {
            let word = word(&clause.kind);
            let keyword = self.keyword(clause, word);
            let single = !matches!(
                clause.kind,
                ClauseKind::After(_)
                    | ClauseKind::Require(_)
                    | ClauseKind::FailWhen(_)
                    | ClauseKind::Expect(_)
                    | ClauseKind::When(_)
                    | ClauseKind::Patience { .. }
                    | ClauseKind::Allow { .. }
            );
            if single && let Some(first) = seen.get(word) {
                self.report(
                    Diagnostic::error(
                        Code::BAD_CLAUSE,
                        keyword,
                        format!("`{word}` stands here twice"),
                    )
                    .related(*first, "the first one")
                    .help("remove one of the two"),
                );
            }
            seen.entry(word).or_insert(keyword);
            if let Some(help) = illegal(kind, &clause.kind) {
                self.report(
                    Diagnostic::error(
                        Code::BAD_CLAUSE,
                        keyword,
                        format!("{} takes no `{word}`", kind.name()),
                    )
                    .help(help),
                );
                continue;
            }
            self.clause(place, kind, clause, guards);
        }
        self.missing_clauses(place, kind, guards, &seen);
    }

    fn keyword(&self, clause: &Clause, word: &str) -> Span {
        Span {
            end: clause.span.end.min(clause.span.start + word.len() as u32),
            ..clause.span
        }
    }

    fn missing_clauses(
        &mut self,
        place: &StepPlace<'_, 'p>,
        kind: StepKind,
        guards: &Guards,
        seen: &HashMap<&'static str, Span>,
    ) {
        if kind == StepKind::Wait && !seen.contains_key("until") {
            self.report(
                Diagnostic::error(
                    Code::BAD_CLAUSE,
                    place.step.action.span,
                    "this `wait` does not say for what",
                )
                .help("add `until it.status == …`"),
            );
        }
        if let Some(every) = seen.get("every")
            && !seen.contains_key("until")
            && !matches!(kind, StepKind::Broken | StepKind::Wait)
        {
            self.report(
                Diagnostic::error(
                    Code::BAD_CLAUSE,
                    *every,
                    "`every` says how often `until` is asked, and there is no `until`",
                )
                .help("add `until …`, or remove `every`"),
            );
        }
        let safe = guards.retries || seen.contains_key("unless") || seen.contains_key("settle");
        if let Some(retry) = seen.get("retry")
            && kind == StepKind::Call
            && !safe
        {
            self.report(
                Diagnostic::error(
                    Code::UNSAFE_RETRY,
                    *retry,
                    "this method takes no request id: a second attempt could do it twice",
                )
                .help("add `unless …`, which says how to see that it is done"),
            );
        }
    }

    fn clause(
        &mut self,
        place: &StepPlace<'_, 'p>,
        kind: StepKind,
        clause: &'p Clause,
        guards: &Guards,
    ) {
        let plain = |c: &Self| {
            let mut scope = c.placed(place, IT_NOWHERE);
            scope.fresh = false;
            scope
        };
        let repeated = |c: &Self, word| {
            let mut scope = c.repeated_scope(place.flow, place.block, guards.after.clone(), word);
            scope.facts = c.placed(place, IT_NOWHERE).facts;
            scope
        };
        match &clause.kind {
            ClauseKind::Allow { policy, reason } => {
                self.allow(place.flow.module, policy, reason.as_ref());
            }
            ClauseKind::After(refs) => self.after(place.flow, place.block, refs),
            // Checked before the body, which knows it.
            ClauseKind::When(_) => {}
            ClauseKind::Unless(condition) => {
                let mut scope = self.placed(place, guards.before.clone());
                self.condition(condition, &mut scope);
            }
            ClauseKind::Require(guard) => {
                let mut scope = self.placed(place, guards.before.clone());
                self.guard(guard, &mut scope);
            }
            ClauseKind::Until(condition) => {
                let mut scope = repeated(self, "`until`");
                self.condition(condition, &mut scope);
            }
            ClauseKind::FailWhen(guard) => {
                let mut scope = repeated(self, "`fail when`");
                self.guard(guard, &mut scope);
            }
            ClauseKind::Expect(guard) => {
                let mut scope = self.placed(place, guards.after.clone());
                self.guard(guard, &mut scope);
            }
            ClauseKind::Timeout(value) => self.duration("timeout", value, &mut plain(self)),
            ClauseKind::Every(value) => {
                let mut scope = repeated(self, "`every`");
                scope.it = IT_NOWHERE;
                self.duration("every", value, &mut scope);
            }
            ClauseKind::Expires(value) => self.duration("expires", value, &mut plain(self)),
            ClauseKind::Retry { times, every } => {
                let times_type = Type::Int(Bounds {
                    min: Some(1),
                    max: Some(1000),
                });
                let mut scope = plain(self);
                self.fit(times, &Want::declared("retry", times_type), &mut scope);
                if let Some(every) = every {
                    self.duration("every", every, &mut scope);
                }
            }
            ClauseKind::Patience { class, limit } => {
                self.error_class(place, class);
                let want = Want::declared("for", Type::DURATION);
                self.fit(limit, &want, &mut plain(self));
            }
            ClauseKind::RepeatSafe => {}
            ClauseKind::On { outcome, decision } => self.decision(clause, *outcome, *decision),
            ClauseKind::Undo(undo) => self.undo(place, undo, clause.span),
            ClauseKind::Protect => self.protect(place, kind, clause.span),
            ClauseKind::Settle { http, when } => {
                self.http(place, http);
                let mut scope = self.placed(place, It::Is(super::http::answer()));
                self.condition(when, &mut scope);
            }
        }
    }

    fn duration(&mut self, name: &str, value: &'p Expr, scope: &mut Scope) {
        let positive = Type::Duration(Bounds {
            min: Some(1),
            max: None,
        });
        let want = Want::declared(name, Type::DURATION);
        self.fit(value, &want, scope);
        if let Type::Duration(b) = self.quietly(|c| c.infer(value, scope)) {
            let Type::Duration(least) = positive else {
                return;
            };
            if !b.meets(&least) {
                self.report(Diagnostic::error(
                    Code::BAD_VALUE,
                    value.span,
                    format!("`{name}` takes a time above zero"),
                ));
            }
        }
    }

    /// `retry CLASS for …` names a class whose request may succeed later, and names it once.
    fn error_class(&mut self, place: &StepPlace<'_, 'p>, class: &Name) {
        let passing = || ErrorClass::ALL.into_iter().filter(|c| c.may_pass());
        if !passing().any(|c| c.word() == &*class.text) {
            let finding = Diagnostic::error(
                Code::BAD_CLAUSE,
                class.span,
                format!("`{}` is no error that may pass", class.text),
            );
            let words: Vec<&str> = passing().map(ErrorClass::word).collect();
            self.report(match nearest(&class.text, words.iter().copied()) {
                Some(near) => finding
                    .help(format!("did you mean `{near}`?"))
                    .fix(class.span, near),
                None => finding.help(format!("these may: {}", words.join(", "))),
            });
        }
        let same = place.step.clauses.iter().find_map(|c| match &c.kind {
            ClauseKind::Patience { class: other, .. } if other.text == class.text => Some(other),
            _ => None,
        });
        if let Some(first) = same.filter(|other| other.span != class.span) {
            self.report(
                Diagnostic::error(
                    Code::BAD_CLAUSE,
                    class.span,
                    format!("`{}` stands here twice", class.text),
                )
                .related(first.span, "the first one")
                .help("remove one of the two"),
            );
        }
    }

    fn decision(&mut self, clause: &Clause, outcome: OnOutcome, decision: Decision) {
        use Decision::{Ask, Continue, Pause, Replace, Stop, Update};
        let (word, legal): (&str, &[Decision]) = match outcome {
            OnOutcome::Absent => ("absent", &[Stop, Continue]),
            OnOutcome::Change => ("change", &[Update, Replace, Stop]),
            OnOutcome::Deny => ("deny", &[Continue, Stop]),
            OnOutcome::Timeout => ("timeout", &[Pause, Continue, Stop]),
            OnOutcome::Failure => ("failure", &[Continue, Stop]),
            OnOutcome::Doubt => ("doubt", &[Ask]),
        };
        if !legal.contains(&decision) {
            let known: Vec<String> = legal
                .iter()
                .map(|d| format!("`on {word} {}`", decision_word(*d)))
                .collect();
            self.report(
                Diagnostic::error(
                    Code::BAD_CLAUSE,
                    clause.span,
                    format!("there is no `on {word} {}`", decision_word(decision)),
                )
                .help(format!("write {}", known.join(" or "))),
            );
        }
    }

    /// `after x, y["k"], take`: each names a step or a checkpoint of the workflow.
    pub(super) fn after(&mut self, flow: &Flow<'p>, block: BlockId, refs: &'p [Expr]) {
        for reference in refs {
            let (Some(name), _) = root_name(reference) else {
                self.report(
                    Diagnostic::error(
                        Code::NOT_A_STEP,
                        reference.span,
                        "`after` takes the names of steps and checkpoints",
                    )
                    .help("write the step's name alone"),
                );
                continue;
            };
            let span = Span {
                end: reference.span.start + name.len() as u32,
                ..reference.span
            };
            match flow.symbol(name) {
                Some(symbol) => match symbol.meaning {
                    Meaning::Step(step) => {
                        self.used.insert(step.name.span);
                        let node = self.order.symbol(flow, symbol);
                        self.order.refer(node, span);
                        self.after_index(flow, block, reference);
                    }
                    Meaning::Checkpoint(_) => {
                        let node = self.order.symbol(flow, symbol);
                        self.order.refer(node, span);
                    }
                    Meaning::Unknown => {}
                    _ => self.report(
                        Diagnostic::error(
                            Code::NOT_A_STEP,
                            span,
                            format!("`{name}` is no step, so nothing can wait for it"),
                        )
                        .help("a `let` or an input needs no `after`: use it in the step"),
                    ),
                },
                None => self.unknown_step(flow, name, span),
            }
        }
    }

    /// The keys of `after group["us-central1"]`.
    fn after_index(&mut self, flow: &Flow<'p>, block: BlockId, reference: &'p Expr) {
        if let crate::syntax::ast::ExprKind::Index { base, index } = &*reference.kind {
            let mut scope = self.plain_scope(flow, block);
            self.map_key(index, &mut scope);
            self.after_index(flow, block, base);
        }
    }

    fn unknown_step(&mut self, flow: &Flow<'p>, name: &str, span: Span) {
        let finding = Diagnostic::error(
            Code::UNKNOWN_NAME,
            span,
            format!("no step or checkpoint is called `{name}`"),
        );
        let known = flow
            .symbols()
            .filter(|(_, s)| matches!(s.meaning, Meaning::Step(_) | Meaning::Checkpoint(_)))
            .map(|(n, _)| n);
        self.report(match nearest(name, known) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(span, near),
            None => finding,
        });
    }
}

fn word(kind: &ClauseKind) -> &'static str {
    match kind {
        ClauseKind::After(_) => "after",
        ClauseKind::When(_) => "when",
        ClauseKind::Unless(_) => "unless",
        ClauseKind::Require(_) => "require",
        ClauseKind::Until(_) => "until",
        ClauseKind::FailWhen(_) => "fail when",
        ClauseKind::Timeout(_) => "timeout",
        ClauseKind::Every(_) => "every",
        ClauseKind::Retry { .. } => "retry",
        ClauseKind::On { outcome, .. } => match outcome {
            OnOutcome::Absent => "on absent",
            OnOutcome::Change => "on change",
            OnOutcome::Deny => "on deny",
            OnOutcome::Timeout => "on timeout",
            OnOutcome::Failure => "on failure",
            OnOutcome::Doubt => "on doubt",
        },
        ClauseKind::Expires(_) => "expires",
        ClauseKind::Expect(_) => "expect",
        ClauseKind::Settle { .. } => "settle",
        ClauseKind::Patience { .. } => "retry … for",
        ClauseKind::RepeatSafe => "repeat safe",
        ClauseKind::Undo(_) => "undo",
        ClauseKind::Protect => "protect",
        ClauseKind::Allow { .. } => "allow",
    }
}

fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Stop => "stop",
        Decision::Update => "update",
        Decision::Replace => "replace",
        Decision::Continue => "continue",
        Decision::Pause => "pause",
        Decision::Ask => "ask",
    }
}

/// Why a clause cannot stand at a step of this kind, as advice.
fn illegal(kind: StepKind, clause: &ClauseKind) -> Option<&'static str> {
    use StepKind::{Approve, Broken, Call, Ensure, Http, Read, Run, Wait};
    if kind == Broken {
        return None;
    }
    let (legal, help) = match clause {
        ClauseKind::After(_) | ClauseKind::When(_) | ClauseKind::Allow { .. } => (true, ""),
        ClauseKind::Require(_) => (
            matches!(kind, Ensure | Call),
            "put `require` at the `ensure` or `call` that changes something, or write an `assert`",
        ),
        ClauseKind::Timeout(_) => (
            matches!(kind, Ensure | Call | Wait | Http),
            "`ensure`, `call`, `wait` and `http` take it; an approval has `expires`, and a pause its own length",
        ),
        ClauseKind::On { outcome, .. } => match outcome {
            OnOutcome::Absent => (matches!(kind, Read | Ensure), "`read` and `ensure` take it"),
            OnOutcome::Change => (kind == Ensure, "only `ensure` compares with what is there"),
            OnOutcome::Deny => (kind == Approve, "only an approval can be denied"),
            OnOutcome::Timeout => (
                matches!(kind, Ensure | Call | Wait | Http),
                "it says what follows when a `timeout` is over, and this step has none",
            ),
            OnOutcome::Doubt => (
                matches!(kind, Call | Http),
                "`call` and `http` take it; an `ensure` looks at its resource again",
            ),
            OnOutcome::Failure => (
                kind != Run,
                "say it at the steps of the workflow that it runs",
            ),
        },
        ClauseKind::Unless(_) => (
            kind == Call,
            "`unless` says when a `call` is done already; to skip a step write `when`",
        ),
        ClauseKind::Until(_) | ClauseKind::FailWhen(_) => (
            matches!(kind, Ensure | Call | Wait),
            "`ensure`, `call` and `wait` take it; add a step `wait … until …`",
        ),
        ClauseKind::Every(_) => (
            matches!(kind, Ensure | Call | Wait),
            "it says how often `until` is asked",
        ),
        ClauseKind::RepeatSafe => (
            matches!(kind, Call | Http),
            "`call` and `http` take it; an `ensure` looks at its resource again",
        ),
        ClauseKind::Patience { .. } => (
            matches!(kind, Read | Ensure | Call | Wait),
            "`read`, `ensure`, `call` and `wait` take it: it names an error of Google's APIs",
        ),
        ClauseKind::Retry { .. } => (
            matches!(kind, Ensure | Call | Http),
            "`ensure`, `call` and `http` take it; what only reads is asked again by itself",
        ),
        ClauseKind::Expires(_) => (kind == Approve, "other steps have `timeout`"),
        ClauseKind::Expect(_) => (
            kind == Http,
            "`expect` judges the answer of `http`; for a resource write `until` or `fail when`",
        ),
        ClauseKind::Settle { .. } => (
            kind == Http,
            "methods of the catalogue are settled by themselves",
        ),
        ClauseKind::Undo(_) => (
            matches!(kind, Ensure | Call | Http),
            "only what changes something can be taken back: `ensure`, `call` and `http` take it",
        ),
        ClauseKind::Protect => (
            matches!(kind, Ensure | Call),
            "only a resource can be protected: `ensure` and `call` take it",
        ),
    };
    (!legal).then_some(help)
}
