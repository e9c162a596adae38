//! A thousand random flows: the engine does what the reference says, in an order that it allows.

use std::collections::{BTreeMap, BTreeSet};

use r5flow::journal::Event;
use r5flow::run::NodeStatus;
use r5flow::sim::Sim;
use serde_json::{Value as Json, json};

use crate::model::{Action, Expr, Flow, Flows, Form, Over, Resource, Step, Stmt};
use crate::reference::{self, Meaning, Value};
use r5flow::spec::dice::Dice;
use r5flow::spec::{Left, Mark, Played, keeps_the_order};

use crate::rig::{self, dump};

const PROGRAMS: u64 = 1000;

const PLAIN: Form = Form {
    field: "",
    or: None,
};
const PRIORITY: Form = Form {
    field: "priority",
    or: None,
};
const APPROVED: Form = Form {
    field: "approved",
    or: None,
};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Int(Form),
    Bool(Form),
    List,
    /// The results of a step in a loop.
    Map(Form),
}

#[derive(Clone)]
struct Scope {
    names: Vec<(String, Type)>,
    /// What `after` may name.
    steps: Vec<String>,
    /// Binders of the loops around, as parts of names.
    keys: Vec<String>,
}

struct Generator {
    dice: Dice,
    /// How many workflows there are, and which one is being made.
    flows: usize,
    flow: usize,
    next: usize,
}

impl Generator {
    fn flows(seed: u64) -> Flows {
        let mut dice = Dice::new(seed);
        let flows = 1 + dice.below(3);
        let mut all = Vec::new();
        for flow in 0..flows {
            let mut one = Generator {
                dice: Dice::new(dice.throw()),
                flows,
                flow,
                next: 0,
            };
            all.push(one.flow());
        }
        Flows(all)
    }

    fn flow(&mut self) -> Flow {
        let mut scope = Scope {
            names: vec![("n".into(), Type::Int(PLAIN))],
            steps: Vec::new(),
            keys: Vec::new(),
        };
        if self.flow == 0 {
            scope.names.push(("xs".into(), Type::List));
            scope.names.push(("m".into(), Type::Map(PLAIN)));
        }
        let size = if self.flow == 0 {
            3 + self.dice.below(7)
        } else {
            1 + self.dice.below(3)
        };
        let mut body = Vec::new();
        for _ in 0..size {
            self.statement(&mut body, &mut scope);
        }
        let mut outputs = vec![("total".to_owned(), self.int(&scope, 2))];
        outputs.push(("more".into(), self.int(&scope, 3)));
        if self.flow == 0 {
            outputs.push(("flag".into(), self.bool(&scope, 2)));
            outputs.push(("list".into(), self.list(&scope)));
        }
        Flow { body, outputs }
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    fn statement(&mut self, out: &mut Vec<Stmt>, scope: &mut Scope) {
        match self.dice.below(20) {
            0 | 1 => {
                let name = self.fresh("v");
                let (value, ty) = match self.dice.below(4) {
                    0 => (self.list(scope), Type::List),
                    1 => (self.bool(scope, 2), Type::Bool(PLAIN)),
                    _ => (self.int(scope, 3), Type::Int(PLAIN)),
                };
                out.push(Stmt::Let(name.clone(), value));
                scope.names.push((name, ty));
            }
            2..=5 => self.repeat(out, scope),
            6 | 7 => self.choose(out, scope),
            8 => {
                let name = self.fresh("c");
                out.push(Stmt::Checkpoint(name));
            }
            _ => self.steps(out, scope),
        }
    }

    /// One step, or several that work on one resource one after the other.
    fn steps(&mut self, out: &mut Vec<Stmt>, scope: &mut Scope) {
        match self.dice.below(12) {
            0..=3 => {
                let action = Action::Hook(self.int(scope, 2), self.int(scope, 2));
                self.lone(out, scope, action, Type::Int(PLAIN));
            }
            4 => {
                let action = Action::Pause(1 + self.dice.below(30) as i64);
                self.lone(out, scope, action, Type::List);
            }
            5 => {
                let action = Action::Approve(self.int(scope, 2));
                self.lone(out, scope, action, Type::Bool(APPROVED));
            }
            6 | 7 if self.flow + 1 < self.flows => self.run(out, scope),
            8 => {
                let action = Action::Ensure(self.resource(scope), self.int(scope, 2));
                self.lone(out, scope, action, Type::Int(PRIORITY));
            }
            _ => self.chain(out, scope),
        }
    }

    fn resource(&mut self, scope: &Scope) -> Resource {
        self.next += 1;
        Resource {
            id: self.next,
            keys: scope.keys.clone(),
        }
    }

    fn lone(&mut self, out: &mut Vec<Stmt>, scope: &mut Scope, action: Action, ty: Type) {
        let (name, after) = (self.fresh("s"), self.after(scope));
        let when = self.dice.chance(25).then(|| self.bool(scope, 2));
        let ty = if when.is_some() { self.maybe(ty) } else { ty };
        // A pause has no value.
        if !matches!(action, Action::Pause(_)) {
            scope.names.push((name.clone(), ty));
        }
        scope.steps.push(name.clone());
        out.push(Stmt::Step(Step {
            name,
            action,
            after,
            when,
        }));
    }

    /// As it is when it may have been skipped.
    fn maybe(&mut self, ty: Type) -> Type {
        let or = |form: Form, n: i64| Form {
            or: Some(n),
            ..form
        };
        match ty {
            Type::Int(form) => Type::Int(or(form, self.dice.below(9) as i64)),
            Type::Bool(form) => Type::Bool(or(form, self.dice.below(2) as i64)),
            other => other,
        }
    }

    fn chain(&mut self, out: &mut Vec<Stmt>, scope: &mut Scope) {
        let resource = self.resource(scope);
        let mut actions = vec![Action::Ensure(resource.clone(), self.int(scope, 2))];
        if self.dice.chance(30) {
            actions.push(Action::WaitFor(String::new()));
        }
        if self.dice.chance(50) {
            let unless = self.dice.chance(50).then(|| self.dice.below(1000) as i64);
            actions.push(Action::Patch(resource.clone(), self.int(scope, 2), unless));
        }
        if self.dice.chance(50) {
            actions.push(Action::Read(resource));
        }
        let mut before: Option<String> = None;
        for mut action in actions {
            if let (Action::WaitFor(step), Some(before)) = (&mut action, &before) {
                step.clone_from(before);
            }
            let name = self.fresh("s");
            let mut after = self.after(scope);
            after.extend(before.replace(name.clone()));
            after.sort();
            after.dedup();
            scope.steps.push(name.clone());
            scope.names.push((name.clone(), Type::Int(PRIORITY)));
            out.push(Stmt::Step(Step {
                name,
                action,
                after,
                when: None,
            }));
        }
    }

    fn run(&mut self, out: &mut Vec<Stmt>, scope: &mut Scope) {
        let flow = self.flow + 1 + self.dice.below(self.flows - self.flow - 1);
        let (name, after) = (self.fresh("t"), self.after(scope));
        let when = self.dice.chance(30).then(|| self.bool(scope, 2));
        let form = Type::Int(PLAIN);
        let n = self.int(scope, 2);
        for output in ["total", "more"] {
            let ty = if when.is_some() {
                self.maybe(form)
            } else {
                form
            };
            scope.names.push((format!("{name}.{output}"), ty));
        }
        let action = Action::Run {
            flow,
            n,
            keys: scope.keys.clone(),
        };
        scope.steps.push(name.clone());
        out.push(Stmt::Step(Step {
            name,
            action,
            after,
            when,
        }));
    }

    fn after(&mut self, scope: &Scope) -> Vec<String> {
        if scope.steps.is_empty() || !self.dice.chance(35) {
            return Vec::new();
        }
        vec![self.dice.pick(&scope.steps).clone()]
    }

    fn repeat(&mut self, out: &mut Vec<Stmt>, scope: &mut Scope) {
        if !scope.keys.is_empty() {
            return self.steps(out, scope);
        }
        let maps: Vec<(String, Form)> = scope
            .names
            .iter()
            .filter_map(|(name, ty)| match ty {
                Type::Map(form) => Some((name.clone(), *form)),
                _ => None,
            })
            .collect();
        let over_map = !maps.is_empty() && self.dice.chance(45);
        let (source, key, element) = if over_map {
            let (name, form) = self.dice.pick(&maps).clone();
            (
                Expr::Name(name, PLAIN),
                Some(self.fresh("k")),
                Type::Int(form),
            )
        } else {
            (self.list(scope), None, Type::Int(PLAIN))
        };
        let var = self.fresh("x");
        let mut inner = scope.clone();
        inner.names.push((var.clone(), element));
        inner.keys.push(key.clone().unwrap_or_else(|| var.clone()));
        let known = inner.names.len();
        let mut body = Vec::new();
        for _ in 0..1 + self.dice.below(3) {
            self.steps(&mut body, &mut inner);
        }
        for (name, ty) in inner.names.drain(known..) {
            if let (Type::Int(form), false) = (ty, name.contains('.')) {
                scope.names.push((name.clone(), Type::Map(form)));
            }
            if !name.contains('.') {
                scope.steps.push(name);
            }
        }
        let limit = self.dice.chance(40).then(|| 1 + self.dice.below(3));
        out.push(Stmt::For {
            key,
            var,
            source,
            limit,
            body,
        });
    }

    fn choose(&mut self, out: &mut Vec<Stmt>, scope: &mut Scope) {
        if !scope.keys.is_empty() {
            return self.steps(out, scope);
        }
        let condition = self.bool(scope, 2);
        let mut branches = [Vec::new(), Vec::new()];
        let count = 1 + self.dice.below(2);
        let mut later = Vec::new();
        for branch in branches.iter_mut().take(count) {
            let mut inner = scope.clone();
            for _ in 0..1 + self.dice.below(2) {
                self.steps(branch, &mut inner);
            }
            later.extend(inner.names.drain(scope.names.len()..));
        }
        for (name, ty) in later.into_iter().filter(|(name, _)| !name.contains('.')) {
            let ty = match ty {
                Type::Int(Form { or: None, .. }) | Type::Bool(Form { or: None, .. }) => {
                    self.maybe(ty)
                }
                other => other,
            };
            scope.steps.push(name.clone());
            scope.names.push((name, ty));
        }
        let [then, otherwise] = branches;
        out.push(Stmt::If(condition, then, otherwise));
    }

    fn name(&mut self, scope: &Scope, fits: impl Fn(&Type) -> Option<Form>) -> Option<Expr> {
        let all: Vec<(String, Form)> = scope
            .names
            .iter()
            .filter_map(|(name, ty)| Some((name.clone(), fits(ty)?)))
            .collect();
        if all.is_empty() {
            return None;
        }
        let (name, form) = self.dice.pick(&all).clone();
        Some(Expr::Name(name, form))
    }

    fn int(&mut self, scope: &Scope, depth: usize) -> Expr {
        if depth == 0 || self.dice.chance(35) {
            let is_int = |ty: &Type| match ty {
                Type::Int(form) => Some(*form),
                _ => None,
            };
            let literal = Expr::Int(self.dice.below(25) as i64 - 5);
            return match self.dice.chance(75) {
                true => self.name(scope, is_int).unwrap_or(literal),
                false => literal,
            };
        }
        let d = depth - 1;
        match self.dice.below(9) {
            0 | 1 => self.binary("+", scope, d),
            2 => self.binary("-", scope, d),
            3 => {
                let by = Box::new(Expr::Int(self.dice.below(4) as i64 - 1));
                Expr::Binary("*", Box::new(self.int(scope, d)), by)
            }
            4 => Expr::If(
                Box::new(self.bool(scope, d)),
                Box::new(self.int(scope, d)),
                Box::new(self.int(scope, d)),
            ),
            5 => Expr::Len(Box::new(self.list(scope))),
            6 => Expr::Mix(Box::new(self.int(scope, d)), Box::new(self.int(scope, d))),
            7 => {
                let mut over = self.over(scope);
                over.body = None;
                over.filter = Some(self.test(scope, &over));
                Expr::Quantifier("count", Box::new(over))
            }
            _ => {
                let over = self.over(scope);
                Expr::Quantifier("sum", Box::new(over))
            }
        }
    }

    fn binary(&mut self, op: &'static str, scope: &Scope, depth: usize) -> Expr {
        Expr::Binary(
            op,
            Box::new(self.int(scope, depth)),
            Box::new(self.int(scope, depth)),
        )
    }

    fn bool(&mut self, scope: &Scope, depth: usize) -> Expr {
        let is_bool = |ty: &Type| match ty {
            Type::Bool(form) => Some(*form),
            _ => None,
        };
        if self.dice.chance(25)
            && let Some(name) = self.name(scope, is_bool)
        {
            return name;
        }
        if depth == 0 {
            return self.binary("<", scope, 0);
        }
        let d = depth - 1;
        match self.dice.below(7) {
            0 => Expr::Not(Box::new(self.bool(scope, d))),
            1 => Expr::Binary(
                "and",
                Box::new(self.bool(scope, d)),
                Box::new(self.bool(scope, d)),
            ),
            2 => Expr::Binary(
                "or",
                Box::new(self.bool(scope, d)),
                Box::new(self.bool(scope, d)),
            ),
            3 => self.binary("==", scope, d),
            4 => {
                let mut over = self.over(scope);
                over.body = Some(self.test(scope, &over));
                let word = if self.dice.chance(50) { "all" } else { "any" };
                Expr::Quantifier(word, Box::new(over))
            }
            _ => self.binary("<", scope, d),
        }
    }

    /// A binder with a body that is a number.
    fn over(&mut self, scope: &Scope) -> Over {
        let is_map = |ty: &Type| match ty {
            Type::Map(form) => Some(*form),
            _ => None,
        };
        let map = if self.dice.chance(50) {
            self.name(scope, is_map)
        } else {
            None
        };
        let (source, form) = match map {
            Some(Expr::Name(name, form)) => (Expr::Name(name, PLAIN), form),
            _ => (self.list(scope), PLAIN),
        };
        let var = self.fresh("e");
        let element = Expr::Name(var.clone(), form);
        let with = Box::new(self.int(scope, 0));
        let body = Expr::Binary("+", Box::new(element), with);
        Over {
            var,
            source,
            filter: None,
            body: Some(body),
        }
    }

    /// A condition on the element of a binder.
    fn test(&mut self, scope: &Scope, over: &Over) -> Expr {
        let element = match &over.body {
            Some(Expr::Binary(_, element, _)) => (**element).clone(),
            _ => Expr::Int(1),
        };
        let element = match (&element, &over.body) {
            (Expr::Name(..), _) => element,
            _ => Expr::Int(1),
        };
        Expr::Binary("<", Box::new(element), Box::new(self.int(scope, 0)))
    }

    /// A list of numbers that are all different: loops take them for keys.
    fn list(&mut self, scope: &Scope) -> Expr {
        let is_list = |ty: &Type| (*ty == Type::List).then_some(PLAIN);
        match self.dice.below(5) {
            0 | 1 => {
                if let Some(name) = self.name(scope, is_list) {
                    return name;
                }
                Expr::List(vec![Expr::Int(3), Expr::Int(1)])
            }
            2 => Expr::UpTo(Box::new(self.int(scope, 1))),
            3 => {
                let items = 1 + self.dice.below(4) as i64;
                let first = self.dice.below(9) as i64;
                Expr::List((0..items).map(|i| Expr::Int(first + i * 2)).collect())
            }
            _ => {
                let Some(source) = self.name(scope, is_list) else {
                    return Expr::List(vec![Expr::Int(7)]);
                };
                let var = self.fresh("e");
                let element = || Box::new(Expr::Name(var.clone(), PLAIN));
                let by = Box::new(Expr::Int(1 + self.dice.below(5) as i64));
                let most = Box::new(Expr::Int(self.dice.below(30) as i64));
                Expr::Comp(Box::new(Over {
                    source,
                    filter: Some(Expr::Binary("<", element(), most)),
                    body: Some(Expr::Binary("+", element(), by)),
                    var,
                }))
            }
        }
    }
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(n) => json!(n),
        Value::Bool(b) => json!(b),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(map) => map.iter().map(|(k, v)| (k.clone(), json_of(v))).collect(),
    }
}

struct Inputs {
    n: i64,
    xs: Vec<i64>,
    m: BTreeMap<String, i64>,
}

fn inputs(dice: &mut Dice) -> Inputs {
    let count = dice.below(4) as i64;
    Inputs {
        n: dice.below(40) as i64 - 8,
        xs: (0..count).map(|i| i * 5 + dice.below(4) as i64).collect(),
        m: ["a", "b", "c"]
            .iter()
            .take(dice.below(4))
            .map(|k| ((*k).to_owned(), dice.below(50) as i64))
            .collect(),
    }
}

fn agrees(seed: u64, cloud: &Sim) -> Result<(), String> {
    let mut dice = Dice::new(seed ^ 0xa5a5);
    let flows = Generator::flows(seed);
    let given = inputs(&mut dice);
    let wanted = reference::meaning(&flows, given.n, &given.xs, &given.m);
    let text = flows.text();
    let program = rig::program(&text);
    let (checked, errors) = rig::examined(&program);
    if !errors.is_empty() {
        return Err(format!("{}\n{text}", errors.join("\n")));
    }
    let json = json!({ "tag": "t", "n": given.n, "xs": given.xs, "m": given.m });
    let mut case = rig::case(&checked, &json);
    case.settings.parallel = 1 + dice.below(8);
    let ran = rig::play(&case, Left::fresh(cloud.clone()));
    let judged = keeps_the_order(&case.catalog, &[], &ran)
        .and_then(|()| same_end(&wanted, &ran))
        .and_then(|()| allowed_order(&wanted, &ran.trace));
    judged.map_err(|what| format!("{what}\n{json}\n{text}\n{}", dump(&ran.left.journal)))
}

fn same_end(wanted: &Meaning, ran: &Played) -> Result<(), String> {
    if !ran.is_done() {
        return Err(format!("{:#?}", ran.end));
    }
    let waiting = |s: &NodeStatus| !matches!(s, NodeStatus::Done | NodeStatus::Skipped);
    let left: Vec<_> = ran.seen.status.iter().filter(|(_, s)| waiting(s)).collect();
    if !left.is_empty() {
        return Err(format!("done, and these are not: {left:?}"));
    }
    let found: BTreeMap<String, Json> = ran
        .end
        .iter()
        .flat_map(|e| &e.outputs)
        .map(|(k, v)| (k.clone(), v.to_json()))
        .collect();
    let outputs = wanted.outputs.iter();
    let outputs: BTreeMap<String, Json> = outputs.map(|(k, v)| (k.clone(), json_of(v))).collect();
    if found != outputs {
        return Err(format!("outputs {found:?}, the reference has {outputs:?}"));
    }
    let prefix = "compute/projects/demo/global/firewalls/fw-";
    let resources = ran.left.stage.cloud.resources();
    let rules: BTreeMap<String, i64> = resources
        .iter()
        .filter_map(|(k, v)| {
            Some((
                format!("fw-{}", k.strip_prefix(prefix)?),
                v["priority"].as_i64()?,
            ))
        })
        .collect();
    if rules != wanted.rules {
        return Err(format!(
            "rules {rules:?}, the reference has {:?}",
            wanted.rules
        ));
    }
    Ok(())
}

fn allowed_order(wanted: &Meaning, trace: &[Mark]) -> Result<(), String> {
    let mut began: BTreeMap<&str, usize> = BTreeMap::new();
    let mut over: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, mark) in trace.iter().enumerate() {
        match mark {
            Mark::Began(address) => {
                began.insert(address, at);
            }
            Mark::Durable(Event::Finished { address, .. }) => {
                over.insert(address, at);
            }
            _ => {}
        }
    }
    let steps: BTreeSet<&str> = began.keys().copied().collect();
    let known: BTreeSet<&str> = wanted.before.keys().map(String::as_str).collect();
    if steps != known {
        let (more, less) = (steps.difference(&known), known.difference(&steps));
        return Err(format!(
            "only the engine has {:?}, only the reference {:?}",
            more.collect::<Vec<_>>(),
            less.collect::<Vec<_>>()
        ));
    }
    for (step, before) in &wanted.before {
        for other in before {
            if over[&**other] > began[&**step] {
                return Err(format!("{step} began before {other} was over"));
            }
        }
    }
    for (limit, iterations) in &wanted.limits {
        let spans: Vec<(usize, usize)> = iterations
            .iter()
            .filter(|steps| !steps.is_empty())
            .filter_map(|steps| {
                let first = steps.iter().map(|s| began[&**s]).min()?;
                let last = steps.iter().map(|s| over[&**s]).max()?;
                Some((first, last))
            })
            .collect();
        for (at, _) in &spans {
            let together = spans.iter().filter(|(from, to)| from <= at && at <= to);
            let together = together.count();
            if together > *limit {
                return Err(format!(
                    "{together} iterations at once, the limit is {limit}: {iterations:?}"
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn a_thousand_random_flows_do_what_the_reference_says() {
    let cloud = rig::cloud();
    let first: u64 = std::env::var("R5FLOW_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    let mut wrong = Vec::new();
    for seed in first..first + PROGRAMS {
        if let Err(what) = agrees(seed, &cloud) {
            wrong.push(format!("seed {seed}: {what}"));
        }
        if wrong.len() == 3 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
