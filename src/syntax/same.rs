//! Whether two trees say the same: everything but the spans.

use std::sync::Arc;

use super::ast::*;

/// Compares two files without the places of their words. Documentation comments count.
pub fn same_meaning(a: &File, b: &File) -> bool {
    a.same(b)
}

trait Same {
    fn same(&self, other: &Self) -> bool;
}

impl<T: Same> Same for Vec<T> {
    fn same(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(a, b)| a.same(b))
    }
}

impl<T: Same> Same for Option<T> {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(a), Some(b)) => a.same(b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl<T: Same> Same for Box<T> {
    fn same(&self, other: &Self) -> bool {
        (**self).same(other)
    }
}

impl Same for f64 {
    fn same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Same for Name {
    fn same(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Same for crate::source::Span {
    fn same(&self, _: &Self) -> bool {
        true
    }
}

macro_rules! equal {
    ($($ty:ty),*) => { $(impl Same for $ty { fn same(&self, other: &Self) -> bool { self == other } })* };
}
equal!(
    Arc<str>,
    bool,
    i64,
    u64,
    Base,
    OnOutcome,
    Decision,
    Quantifier,
    BinaryOp
);

/// Every field is named, so that a new one cannot be forgotten.
macro_rules! fields {
    ($($ty:ident { $($field:ident),* })*) => { $(
        impl Same for $ty {
            fn same(&self, other: &Self) -> bool {
                let $ty { $($field),* } = self;
                $($field.same(&other.$field))&&*
            }
        }
    )* };
}

fields! {
    File { items, span }
    Broken { name, span }
    Use { path, alias, names, span }
    TypeDef { name, ty, doc, span }
    Workflow { name, body, doc, span }
    Moved { old, new, span }
    Policy { name, waits, on, binder, rules, doc, span }
    Rule { severity, place, loops, condition, message, hint, span }
    Test { name, stmts, body, doc, span }
    Given { value, span }
    Fault { kind, on, options, span }
    Answer { gate, approves, after, span }
    TestRun { path, inputs, name, span }
    TestWait { time, span }
    Expectation { condition, span }
    HookDef { name, params, result, body, doc, span }
    Param { name, ty }
    TypeExpr { kind, span }
    TypeField { name, optional, ty, doc }
    Block { stmts, span }
    Input { name, secret, ty, default, doc, span }
    Output { name, secret, value, doc, span }
    Let { name, value, doc, span }
    At { fields, span }
    Assert { condition, message, span }
    Checkpoint { name, requires, after, approve, doc, span }
    For { first, second, source, by, limit, body, span }
    If { condition, then, otherwise, span }
    Upon { event, binder, body, span }
    Step { name, action, clauses, doc, span }
    Action { kind, span }
    ApiCall { path, args, args_span, body }
    HttpCall { method, url, options }
    Arg { name, value }
    Object { fields, span }
    Guard { condition, message, span }
    Clause { kind, span }
    Expr { kind, span }
    Binder { first, second, source, filter, span }
}

macro_rules! variants {
    ($($ty:ident {
        $( $one:ident ( $($part:ident),* ), )* ; $( $rec:ident { $($field:ident),* }, )* ; $( $unit:ident ),*
    })*) => { $(
        impl Same for $ty {
            #[allow(non_snake_case, reason = "one name binds both sides")]
            fn same(&self, other: &Self) -> bool {
                if std::mem::discriminant(self) != std::mem::discriminant(other) {
                    return false;
                }
                match self {
                    $( $ty::$one($($part),*) => {
                        let mine = ($($part,)*);
                        match other { $ty::$one($($part),*) => pairs(mine, ($($part,)*)), _ => false }
                    } )*
                    $( $ty::$rec { $($field),* } => {
                        $( let $field: &dyn Fn(&Self) -> bool = &|o| match o {
                            $ty::$rec { $field: theirs, .. } => $field.same(theirs),
                            _ => false,
                        }; )*
                        $( $field(other) )&&*
                    } )*
                    $( $ty::$unit => true, )*
                }
            }
        }
    )* };
}

fn pairs<T: SameParts>(a: T, b: T) -> bool {
    a.all(&b)
}

trait SameParts {
    fn all(&self, other: &Self) -> bool;
}

impl<A: Same> SameParts for (&A,) {
    fn all(&self, other: &Self) -> bool {
        self.0.same(other.0)
    }
}

impl<A: Same, B: Same> SameParts for (&A, &B) {
    fn all(&self, other: &Self) -> bool {
        self.0.same(other.0) && self.1.same(other.1)
    }
}

variants! {
    Item { Use(a), Let(a), Type(a), Workflow(a), Hook(a), Policy(a), Moved(a), Test(a), Broken(a), ; ; }
    FaultOn { Method(a), Step(a), ; ; }
    TestStmt { Given(a), Fault(a), Answer(a), Run(a), Wait(a), Let(a), Expect(a), Broken(a), ; ; }
    HookBody { Inline(a, b), File(a), ; ; }
    TypeKind {
        Literal(a), List(a), Map(a), Record(a), Path(a), Nullable(a), Union(a), ;
        Base { base, min, max, matches }, ;
        Broken
    }
    Stmt {
        Input(a), Output(a), Let(a), At(a), Assert(a), Checkpoint(a), Step(a), For(a), If(a), Upon(a), Broken(a), ; ;
    }
    ActionKind {
        Read(a), Ensure(a), Call(a), WaitApi(a), WaitStep(a), WaitHttp(a), WaitPause(a), Http(a), Approve(a), ;
        Run { path, inputs }, Hook { name, args }, ;
        Broken
    }
    Field { ; Pair { key, value, shorthand }, Spread { value, span }, ; }
    Key { Name(a), Computed(a), ; ; }
    ClauseKind {
        After(a), When(a), Unless(a), Require(a), Until(a), FailWhen(a), Timeout(a), Every(a), Expires(a), Expect(a),
        Undo(a), ;
        Retry { times, every }, Patience { class, limit }, On { outcome, decision }, Settle { http, when },
        Allow { policy, reason }, ;
        RepeatSafe, Protect
    }
    Undo { Call(a), Http(a), ; ; Delete }
    ExprKind {
        Bool(a), Int(a), Float(a), Duration(a), Size(a), Percent(a), Str(a), Name(a), List(a), Object(a), Not(a),
        Neg(a), Paren(a), ;
        Raw { tag, text }, ListComp { element, binder }, MapComp { key, value, binder },
        Quantifier { quantifier, binder, body }, If { condition, then, otherwise }, Binary { op, left, right },
        Member { base, name, optional }, Index { base, index }, Call { callee, args }, ;
        Null, Unset, Broken
    }
    StrPart { Text(a), Value(a), ; ; }
}
