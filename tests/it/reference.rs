//! What a generated flow means, evaluated one statement after the other: no graph, no tasks, no
//! journal. It gives the outputs, what the cloud holds, and for every step which others must be
//! over before it begins.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Action, Expr, Flows, Form, Over, Step, Stmt};

type Addresses = BTreeSet<String>;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Bool(bool),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

/// A value, and the steps whose results it is made of.
#[derive(Clone, Debug)]
struct Bound {
    value: Value,
    from: Addresses,
    /// Of the results of a loop: what its keys are made of, and what each result is.
    shape: Option<(Addresses, BTreeMap<String, Addresses>)>,
    /// What it is before anything ran, when that is known by then.
    known: Option<Value>,
}

type Names = BTreeMap<String, Bound>;

/// What must hold of a run.
#[derive(Debug, Default)]
pub struct Meaning {
    pub outputs: BTreeMap<String, Value>,
    /// Priorities of the firewall rules that the flow leaves, by name.
    pub rules: BTreeMap<String, i64>,
    /// For each step the steps that are over before it begins.
    pub before: BTreeMap<String, Addresses>,
    /// For each limited loop: the limit, and the steps of each iteration.
    pub limits: Vec<(usize, Vec<Addresses>)>,
}

/// The meaning of the first flow with these inputs.
pub fn meaning(flows: &Flows, n: i64, xs: &[i64], m: &BTreeMap<String, i64>) -> Meaning {
    let mut inputs = Names::new();
    let plain = |value: Value| Bound {
        known: Some(value.clone()),
        value,
        from: Addresses::new(),
        shape: None,
    };
    inputs.insert("n".into(), plain(Value::Int(n)));
    let list = xs.iter().map(|x| Value::Int(*x)).collect();
    inputs.insert("xs".into(), plain(Value::List(list)));
    let map = m.iter().map(|(k, v)| (k.clone(), Value::Int(*v))).collect();
    inputs.insert("m".into(), plain(Value::Map(map)));
    let mut meaning = Meaning::default();
    let mut frame = Frame {
        flows,
        path: String::new(),
        tag: "t".into(),
        steps: Addresses::new(),
        meaning: &mut meaning,
    };
    let outputs = frame.flow(0, inputs, &Addresses::new());
    let outputs = outputs.into_iter().map(|(k, b)| (k, b.value)).collect();
    meaning.outputs = outputs;
    meaning
}

/// One workflow as it was called.
struct Frame<'a> {
    flows: &'a Flows,
    path: String,
    tag: String,
    /// Its steps so far, those of workflows that it ran among them.
    steps: Addresses,
    meaning: &'a mut Meaning,
}

/// Where a statement stands.
#[derive(Clone, Default)]
struct Place {
    /// Keys of the loops around, outermost first.
    keys: Vec<String>,
    /// What is over before anything here begins.
    behind: Addresses,
}

impl Frame<'_> {
    fn flow(&mut self, index: usize, inputs: Names, behind: &Addresses) -> Names {
        let flow = &self.flows.0[index];
        let mut names = inputs;
        let mut place = Place {
            keys: Vec::new(),
            behind: behind.clone(),
        };
        self.block(&flow.body, &mut names, &mut place);
        flow.outputs
            .iter()
            .map(|(name, value)| (name.clone(), eval(value, &names)))
            .collect()
    }

    fn block(&mut self, stmts: &[Stmt], names: &mut Names, place: &mut Place) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(name, value) => {
                    let bound = eval(value, names);
                    names.insert(name.clone(), bound);
                }
                Stmt::Step(step) => self.step(step, names, place),
                Stmt::For { .. } => self.repeat(stmt, names, place),
                Stmt::If(condition, then, otherwise) => {
                    self.choose(condition, [then, otherwise], names, place)
                }
                Stmt::Checkpoint(_) => place.behind.extend(self.steps.iter().cloned()),
            }
        }
    }

    fn step(&mut self, step: &Step, names: &mut Names, place: &Place) {
        let mut behind = place.behind.clone();
        for name in &step.after {
            behind.extend(names[name].from.iter().cloned());
        }
        let mut taken = true;
        if let Some(when) = &step.when {
            let condition = match step.action {
                Action::Run { .. } => decision(when, names),
                _ => eval(when, names),
            };
            taken = condition.value == Value::Bool(true);
            behind.extend(condition.from);
        }
        let keys: String = place.keys.iter().map(|k| format!("[{k:?}]")).collect();
        let address = format!("{}{}{keys}", self.path, step.name);
        if let Action::Run { flow, n, keys } = &step.action {
            self.run(step, *flow, (n, keys), (taken, behind, address), names);
            return;
        }
        behind.extend(reads_of(&step.action, names));
        let value = match taken {
            true => self.act(&step.action, names),
            false => Value::Null,
        };
        self.meaning.before.insert(address.clone(), behind);
        self.steps.insert(address.clone());
        let from = Addresses::from([address]);
        let bound = Bound {
            value,
            from,
            shape: None,
            known: None,
        };
        names.insert(step.name.clone(), bound);
    }

    fn act(&mut self, action: &Action, names: &Names) -> Value {
        match action {
            Action::Hook(a, b) => Value::Int(mix(int(a, names), int(b, names))),
            Action::Ensure(r, value) => {
                let priority = mix(int(value, names), 1);
                let name = self.rule(r.id, &r.keys, names);
                self.meaning.rules.insert(name, priority);
                Value::Int(priority)
            }
            Action::Patch(r, value, unless) => {
                let name = self.rule(r.id, &r.keys, names);
                let now = self.meaning.rules[&name];
                let priority = match unless {
                    Some(most) if now > *most => now,
                    _ => mix(int(value, names), 2),
                };
                self.meaning.rules.insert(name, priority);
                Value::Int(priority)
            }
            Action::Read(r) => {
                let name = self.rule(r.id, &r.keys, names);
                Value::Int(self.meaning.rules[&name])
            }
            Action::WaitFor(step) => names[step].value.clone(),
            Action::Pause(_) => Value::Null,
            Action::Approve(_) => Value::Bool(true),
            Action::Run { .. } => unreachable!("a workflow is no single step"),
        }
    }

    fn rule(&self, id: usize, keys: &[String], names: &Names) -> String {
        let keys: String = keys
            .iter()
            .map(|k| format!("-{}", key(&names[k].value)))
            .collect();
        format!("fw-{}-{id}{keys}", self.tag)
    }

    fn run(
        &mut self,
        step: &Step,
        flow: usize,
        (n, keys): (&Expr, &[String]),
        (taken, behind, address): (bool, Addresses, String),
        names: &mut Names,
    ) {
        // Its outputs wait for what decided whether it runs.
        let decided = match &step.when {
            Some(when) => decision(when, names).from,
            None => Addresses::new(),
        };
        let early_skip = step
            .when
            .as_ref()
            .is_some_and(|w| early(w, names).is_some());
        let mut steps = Addresses::new();
        let mut outputs = Names::new();
        if taken {
            let tail: String = keys
                .iter()
                .map(|k| format!("-{}", key(&names[k].value)))
                .collect();
            let mut frame = Frame {
                flows: self.flows,
                path: format!("{address}/"),
                tag: format!("{}-{}{tail}", self.tag, step.name),
                steps: Addresses::new(),
                meaning: self.meaning,
            };
            let inputs = Names::from([("n".to_owned(), eval(n, names))]);
            outputs = frame.flow(flow, inputs, &behind);
            steps = frame.steps;
        }
        for (output, _) in &self.flows.0[flow].outputs {
            let mut bound = outputs.remove(output).unwrap_or(Bound {
                value: Value::Null,
                from: Addresses::new(),
                shape: None,
                known: early_skip.then_some(Value::Null),
            });
            bound.from.extend(decided.iter().cloned());
            names.insert(format!("{}.{output}", step.name), bound);
        }
        self.steps.extend(steps.iter().cloned());
        steps.extend(decided);
        let bound = Bound {
            value: Value::Null,
            from: steps,
            shape: None,
            known: None,
        };
        names.insert(step.name.clone(), bound);
    }

    fn repeat(&mut self, stmt: &Stmt, names: &mut Names, place: &Place) {
        let Stmt::For {
            key: binder,
            var,
            source,
            limit,
            body,
        } = stmt
        else {
            return;
        };
        let found = match source {
            Expr::Name(name, _) => names[name].clone(),
            other => eval(other, names),
        };
        // Which iterations there are is known when the keys are; the results may come later.
        let (keys, each) = match &found.shape {
            Some((keys, each)) => (keys.clone(), each.clone()),
            None => (found.from.clone(), BTreeMap::new()),
        };
        let nothing = Bound {
            value: Value::Map(BTreeMap::new()),
            from: keys.clone(),
            shape: Some((keys.clone(), BTreeMap::new())),
            known: match found.known.as_ref().map(entries) {
                Some(none) if none.is_empty() => Some(Value::Map(BTreeMap::new())),
                _ => None,
            },
        };
        let mut all: BTreeMap<&str, Bound> = steps_of(body).map(|s| (s, nothing.clone())).collect();
        let mut iterations = Vec::new();
        for (name, value) in entries(&found.value) {
            let mut inner = names.clone();
            let bind = |value: Value, from: &Addresses| Bound {
                known: found.known.as_ref().map(|_| value.clone()),
                value,
                from: from.clone(),
                shape: None,
            };
            inner.insert(
                var.clone(),
                bind(value, each.get(&name).unwrap_or(&found.from)),
            );
            if let Some(binder) = binder {
                // A key is a text; the flows use it in names only.
                let text = Value::Map([(name.clone(), Value::Null)].into());
                inner.insert(binder.clone(), bind(text, &keys));
            }
            let mut at = place.clone();
            at.behind.extend(keys.iter().cloned());
            at.keys.push(name.clone());
            let known = self.steps.clone();
            self.block(body, &mut inner, &mut at);
            iterations.push(self.steps.difference(&known).cloned().collect());
            for (step, map) in &mut all {
                let bound = &inner[*step];
                if let Value::Map(values) = &mut map.value {
                    values.insert(name.clone(), bound.value.clone());
                }
                if let Some((_, each)) = &mut map.shape {
                    each.insert(name.clone(), bound.from.clone());
                }
                map.from.extend(bound.from.iter().cloned());
            }
        }
        if let Some(limit) = limit {
            self.meaning.limits.push((*limit, iterations));
        }
        names.extend(all.into_iter().map(|(k, v)| (k.to_owned(), v)));
    }

    fn choose(
        &mut self,
        condition: &Expr,
        branches: [&Vec<Stmt>; 2],
        names: &mut Names,
        place: &Place,
    ) {
        let decided = decision(condition, names);
        for (branch, wanted) in branches.into_iter().zip([true, false]) {
            let mut inner = names.clone();
            let taken = decided.value == Value::Bool(wanted);
            if taken {
                let mut at = place.clone();
                at.behind.extend(decided.from.iter().cloned());
                self.block(branch, &mut inner, &mut at);
            }
            for step in steps_of(branch) {
                let mut bound = match inner.remove(step) {
                    Some(bound) if taken => bound,
                    _ => Bound {
                        value: Value::Null,
                        from: Addresses::new(),
                        shape: None,
                        known: decided.known.as_ref().map(|_| Value::Null),
                    },
                };
                bound.from.extend(decided.from.iter().cloned());
                names.insert(step.to_owned(), bound);
            }
        }
    }
}

/// Steps declared directly in a block.
fn steps_of(stmts: &[Stmt]) -> impl Iterator<Item = &str> {
    stmts.iter().filter_map(|s| match s {
        Stmt::Step(step) => Some(&*step.name),
        _ => None,
    })
}

fn entries(source: &Value) -> Vec<(String, Value)> {
    match source {
        Value::List(items) => items.iter().map(|v| (key(v), v.clone())).collect(),
        Value::Map(map) => map.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        _ => Vec::new(),
    }
}

/// The text of a loop's key; a bound key is a map of that one name.
fn key(value: &Value) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        Value::Map(one) => one.keys().next().cloned().unwrap_or_default(),
        other => format!("{other:?}"),
    }
}

/// The steps that an action reads the results of.
fn reads_of(action: &Action, names: &Names) -> Addresses {
    let keys = |keys: &[String]| -> Addresses {
        keys.iter().flat_map(|k| names[k].from.clone()).collect()
    };
    match action {
        Action::Hook(a, b) => eval(a, names)
            .from
            .into_iter()
            .chain(eval(b, names).from)
            .collect(),
        Action::Ensure(r, e) | Action::Patch(r, e, _) => {
            let mut from = eval(e, names).from;
            from.extend(keys(&r.keys));
            from
        }
        Action::Read(r) => keys(&r.keys),
        Action::WaitFor(step) => names[step].from.clone(),
        Action::Approve(e) => eval(e, names).from,
        Action::Pause(_) | Action::Run { .. } => Addresses::new(),
    }
}

fn mix(a: i64, b: i64) -> i64 {
    ((a * 7 + b * 3) % 1000).abs() + 1
}

fn int(e: &Expr, names: &Names) -> i64 {
    match eval(e, names).value {
        Value::Int(n) => n,
        other => panic!("no number: {other:?} of {e:?}"),
    }
}

fn eval(e: &Expr, names: &Names) -> Bound {
    let mut from = Addresses::new();
    let value = value_of(e, names, &mut from);
    Bound {
        value,
        from,
        shape: None,
        known: early(e, names),
    }
}

/// The value, and everything that the text mentions: a flow waits for both branches of an `if`.
fn value_of(e: &Expr, names: &Names, from: &mut Addresses) -> Value {
    let mut sub = |e: &Expr| value_of(e, names, from);
    match e {
        Expr::Int(n) => Value::Int(*n),
        Expr::Name(name, form) => {
            let bound = names.get(name).unwrap_or_else(|| panic!("no {name}"));
            from.extend(bound.from.iter().cloned());
            formed(&bound.value, *form)
        }
        Expr::Binary(op, a, b) => binary(op, sub(a), sub(b)),
        Expr::Not(a) => Value::Bool(sub(a) == Value::Bool(false)),
        Expr::If(c, a, b) => match (sub(c), sub(a), sub(b)) {
            (Value::Bool(true), a, _) => a,
            (_, _, b) => b,
        },
        Expr::List(items) => Value::List(items.iter().map(sub).collect()),
        Expr::Len(list) => Value::Int(entries(&sub(list)).len() as i64),
        Expr::Mix(a, b) => match (sub(a), sub(b)) {
            (Value::Int(a), Value::Int(b)) => Value::Int(mix(a, b)),
            other => panic!("no numbers: {other:?}"),
        },
        Expr::UpTo(n) => match sub(n) {
            Value::Int(n) => {
                let most = (n % 4).abs();
                Value::List((0..=most).map(|i| Value::Int(i * 10 + 1)).collect())
            }
            other => panic!("no number: {other:?}"),
        },
        Expr::Comp(over) => Value::List(each(over, names, from)),
        Expr::Quantifier(word, over) => {
            let values = each(over, names, from);
            let is = |b: bool| move |v: &Value| *v == Value::Bool(b);
            match *word {
                "sum" => Value::Int(values.iter().map(number).sum()),
                "count" => Value::Int(values.len() as i64),
                "all" => Value::Bool(!values.iter().any(is(false))),
                _ => Value::Bool(values.iter().any(is(true))),
            }
        }
    }
}

/// The bodies of a comprehension, for the elements that its filter lets through.
fn each(over: &Over, names: &Names, from: &mut Addresses) -> Vec<Value> {
    let mut made_of = Addresses::new();
    let source = value_of(&over.source, names, &mut made_of);
    let looks = over
        .body
        .iter()
        .chain(&over.filter)
        .any(|e| uses(e, &over.var));
    match &over.source {
        // Who does not look at the results of a loop needs only its keys.
        Expr::Name(name, _) if !looks => match &names[name].shape {
            Some((keys, _)) => from.extend(keys.iter().cloned()),
            None => from.extend(made_of),
        },
        _ => from.extend(made_of),
    }
    let mut out = Vec::new();
    // What the text mentions counts even when there are no elements.
    for mentioned in over.body.iter().chain(&over.filter) {
        mentions(mentioned, names, from);
    }
    for (_, element) in entries(&source) {
        let mut inner = names.clone();
        let bound = Bound {
            value: element.clone(),
            from: Addresses::new(),
            shape: None,
            known: Some(element.clone()),
        };
        inner.insert(over.var.clone(), bound);
        let passes = over.filter.as_ref().map(|f| eval(f, &inner).value);
        if passes.is_none_or(|p| p == Value::Bool(true)) {
            let body = over.body.as_ref().map(|b| eval(b, &inner).value);
            out.push(body.unwrap_or(element));
        }
    }
    out
}

/// Whether the graph grows here. What the inputs alone decide waits for nothing.
fn decision(e: &Expr, names: &Names) -> Bound {
    let mut bound = eval(e, names);
    if bound.known.is_some() {
        bound.from.clear();
    }
    bound
}

/// The value as far as it is known before anything ran: no results, no hooks.
fn early(e: &Expr, names: &Names) -> Option<Value> {
    let known = |b: bool| Some(Value::Bool(b));
    match e {
        Expr::Name(name, form) => {
            let known = names[name].known.as_ref()?;
            Some(formed(known, *form))
        }
        Expr::Binary("and", a, b) => match (early(a, names), early(b, names)) {
            (Some(Value::Bool(false)), _) | (_, Some(Value::Bool(false))) => known(false),
            (Some(a), Some(b)) => Some(binary("and", a, b)),
            _ => None,
        },
        Expr::Binary("or", a, b) => match (early(a, names), early(b, names)) {
            (Some(Value::Bool(true)), _) | (_, Some(Value::Bool(true))) => known(true),
            (Some(a), Some(b)) => Some(binary("or", a, b)),
            _ => None,
        },
        Expr::Binary(op, a, b) => Some(binary(op, early(a, names)?, early(b, names)?)),
        Expr::Not(a) => known(early(a, names)? == Value::Bool(false)),
        Expr::If(c, a, b) => match early(c, names)? {
            Value::Bool(true) => early(a, names),
            _ => early(b, names),
        },
        Expr::Mix(..) | Expr::UpTo(_) => None,
        Expr::Quantifier(word @ ("all" | "any"), over) => {
            let decisive = *word == "any";
            let mut open = false;
            for (_, element) in entries(&early(&over.source, names)?) {
                let inner = with(names, &over.var, element);
                match early(over.body.as_ref()?, &inner) {
                    Some(Value::Bool(b)) if b == decisive => return known(decisive),
                    Some(_) => {}
                    None => open = true,
                }
            }
            if open { None } else { known(!decisive) }
        }
        Expr::Quantifier(_, over) => {
            let parts = over.body.iter().chain(&over.filter);
            let elements = entries(&early(&over.source, names)?);
            for (_, element) in elements {
                let inner = with(names, &over.var, element);
                for part in parts.clone() {
                    early(part, &inner)?;
                }
            }
            let mut from = Addresses::new();
            Some(value_of(e, names, &mut from))
        }
        Expr::Comp(over) => {
            let mut items = Vec::new();
            for (_, element) in entries(&early(&over.source, names)?) {
                let inner = with(names, &over.var, element);
                let passes = over.filter.as_ref().map(|f| early(f, &inner));
                if passes.is_none_or(|p| p == Some(Value::Bool(true))) {
                    items.push(early(over.body.as_ref()?, &inner)?);
                }
            }
            Some(Value::List(items))
        }
        Expr::Len(list) => Some(Value::Int(entries(&early(list, names)?).len() as i64)),
        Expr::List(items) => {
            let items: Option<Vec<Value>> = items.iter().map(|i| early(i, names)).collect();
            items.map(Value::List)
        }
        Expr::Int(n) => Some(Value::Int(*n)),
    }
}

fn with(names: &Names, var: &str, value: Value) -> Names {
    let mut inner = names.clone();
    let bound = Bound {
        known: Some(value.clone()),
        value,
        from: Addresses::new(),
        shape: None,
    };
    inner.insert(var.to_owned(), bound);
    inner
}

fn uses(e: &Expr, var: &str) -> bool {
    match e {
        Expr::Name(name, _) => name == var,
        Expr::Binary(_, a, b) | Expr::Mix(a, b) => uses(a, var) || uses(b, var),
        Expr::Not(a) | Expr::Len(a) | Expr::UpTo(a) => uses(a, var),
        _ => false,
    }
}

fn mentions(e: &Expr, names: &Names, from: &mut Addresses) {
    match e {
        Expr::Name(name, _) => {
            let bound = names.get(name).map(|b| b.from.clone());
            from.extend(bound.unwrap_or_default());
        }
        Expr::Binary(_, a, b) | Expr::Mix(a, b) => {
            mentions(a, names, from);
            mentions(b, names, from);
        }
        Expr::Not(a) | Expr::Len(a) | Expr::UpTo(a) => mentions(a, names, from),
        _ => {}
    }
}

fn number(v: &Value) -> i64 {
    match v {
        Value::Int(n) => *n,
        other => panic!("no number: {other:?}"),
    }
}

fn formed(value: &Value, form: Form) -> Value {
    match (value, form.or) {
        (Value::Null, Some(or)) if form.field == "approved" => Value::Bool(or != 0),
        (Value::Null, Some(or)) => Value::Int(or),
        (value, _) => value.clone(),
    }
}

fn binary(op: &str, a: Value, b: Value) -> Value {
    match (op, a, b) {
        ("+", Value::Int(a), Value::Int(b)) => Value::Int(a + b),
        ("-", Value::Int(a), Value::Int(b)) => Value::Int(a - b),
        ("*", Value::Int(a), Value::Int(b)) => Value::Int(a * b),
        ("<", Value::Int(a), Value::Int(b)) => Value::Bool(a < b),
        ("==", a, b) => Value::Bool(a == b),
        ("and", Value::Bool(a), Value::Bool(b)) => Value::Bool(a && b),
        ("or", Value::Bool(a), Value::Bool(b)) => Value::Bool(a || b),
        other => panic!("no such operation: {other:?}"),
    }
}
