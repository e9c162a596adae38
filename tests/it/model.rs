//! Flows as data: what the generator makes, the reference evaluates, and the engine gets as text.

use std::fmt::Write as _;

/// How the plain value of a name is written, and whether it may be absent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// `priority` of a resource, `approved` of a gate; empty for the value itself.
    pub field: &'static str,
    /// What stands for an absent value.
    pub or: Option<i64>,
}

#[derive(Clone, Debug)]
pub enum Expr {
    Int(i64),
    Name(String, Form),
    /// `+`, `-`, `*`, `<`, `==`, `and`, `or`
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    /// `[body for var in source where filter]`
    Comp(Box<Over>),
    /// `sum`, `all`, `any`, `count`
    Quantifier(&'static str, Box<Over>),
    Len(Box<Expr>),
    Mix(Box<Expr>, Box<Expr>),
    /// `hook upto(n)`: a list of distinct numbers.
    UpTo(Box<Expr>),
}

#[derive(Clone, Debug)]
pub struct Over {
    pub var: String,
    pub source: Expr,
    pub filter: Option<Expr>,
    pub body: Option<Expr>,
}

/// The name of a resource: a number of its own, and the keys of the loops around.
#[derive(Clone, Debug)]
pub struct Resource {
    pub id: usize,
    pub keys: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Hook(Expr, Expr),
    Ensure(Resource, Expr),
    Patch(Resource, Expr, Option<i64>),
    Read(Resource),
    WaitFor(String),
    Pause(i64),
    Approve(Expr),
    Run {
        flow: usize,
        n: Expr,
        keys: Vec<String>,
    },
}

#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    pub action: Action,
    pub after: Vec<String>,
    pub when: Option<Expr>,
}

#[derive(Clone, Debug)]
pub enum Stmt {
    Let(String, Expr),
    Step(Step),
    For {
        key: Option<String>,
        var: String,
        source: Expr,
        limit: Option<usize>,
        body: Vec<Stmt>,
    },
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Checkpoint(String),
}

/// A workflow with the inputs `tag` and `n`; the outermost one has `xs` and `m` besides.
#[derive(Clone, Debug)]
pub struct Flow {
    pub body: Vec<Stmt>,
    pub outputs: Vec<(String, Expr)>,
}

/// The first flow is the outermost.
#[derive(Clone, Debug)]
pub struct Flows(pub Vec<Flow>);

const HOOKS: &str = r#"hook mix(a: int, b: int) -> int = """rhai
  let r = (a * 7 + b * 3) % 1000;
  if r < 0 { r = -r; }
  r + 1
  """

hook upto(n: int) -> list<int> = """rhai
  let out = [];
  let most = n % 4;
  if most < 0 { most = -most; }
  for i in 0..(most + 1) { out.push(i * 10 + 1); }
  out
  """

"#;

impl Flows {
    pub fn text(&self) -> String {
        let mut out = HOOKS.to_owned();
        for (i, flow) in self.0.iter().enumerate() {
            let name = flow_name(i);
            let _ = writeln!(
                out,
                "workflow {name} {{\n  input tag: string\n  input n: int"
            );
            if i == 0 {
                out.push_str("  input xs: list<int>\n  input m: map<int>\n");
            }
            out.push_str("  at { project: \"demo\" }\n");
            block(&mut out, &flow.body, 1);
            for (name, value) in &flow.outputs {
                let _ = writeln!(out, "  output {name} = {}", expr(value));
            }
            out.push_str("}\n\n");
        }
        out
    }
}

pub fn flow_name(i: usize) -> String {
    match i {
        0 => "main".into(),
        i => format!("part{i}"),
    }
}

fn block(out: &mut String, stmts: &[Stmt], depth: usize) {
    let pad = "  ".repeat(depth);
    for stmt in stmts {
        match stmt {
            Stmt::Let(name, value) => {
                let _ = writeln!(out, "{pad}let {name} = {}", expr(value));
            }
            Stmt::Step(step) => {
                let _ = writeln!(
                    out,
                    "{pad}step {} = {}",
                    step.name,
                    action(&step.action, &step.name)
                );
                if let Action::Patch(_, _, Some(value)) = &step.action {
                    let _ = writeln!(out, "{pad}  unless it.priority > {value}");
                }
                if !step.after.is_empty() {
                    let _ = writeln!(out, "{pad}  after {}", step.after.join(", "));
                }
                if let Action::WaitFor(_) = &step.action {
                    let _ = writeln!(out, "{pad}  until it.priority > 0");
                }
                if let Some(when) = &step.when {
                    let _ = writeln!(out, "{pad}  when {}", expr(when));
                }
            }
            Stmt::For {
                key,
                var,
                source,
                limit,
                body,
            } => {
                let key = key.as_ref().map(|k| format!("{k}, ")).unwrap_or_default();
                let limit = limit.map(|n| format!(" limit {n}")).unwrap_or_default();
                let _ = writeln!(out, "{pad}for {key}{var} in {}{limit} {{", expr(source));
                block(out, body, depth + 1);
                let _ = writeln!(out, "{pad}}}");
            }
            Stmt::If(condition, then, otherwise) => {
                let _ = writeln!(out, "{pad}if {} {{", expr(condition));
                block(out, then, depth + 1);
                if !otherwise.is_empty() {
                    let _ = writeln!(out, "{pad}}} else {{");
                    block(out, otherwise, depth + 1);
                }
                let _ = writeln!(out, "{pad}}}");
            }
            Stmt::Checkpoint(name) => {
                let _ = writeln!(out, "{pad}checkpoint {name}");
            }
        }
    }
}

fn resource(r: &Resource) -> String {
    let keys: String = r.keys.iter().map(|k| format!("-${{{k}}}")).collect();
    format!("\"fw-${{tag}}-{}{keys}\"", r.id)
}

fn action(action: &Action, step: &str) -> String {
    match action {
        Action::Hook(a, b) => format!("hook mix({}, {})", expr(a), expr(b)),
        Action::Ensure(r, value) => format!(
            "ensure compute.firewalls({}) {{ priority: mix({}, 1), allowed: [{{ IPProtocol: \"tcp\" }}] }}",
            resource(r),
            expr(value)
        ),
        Action::Patch(r, value, _) => format!(
            "call compute.firewalls.patch({0}) {{ name: {0}, priority: mix({1}, 2) }}",
            resource(r),
            expr(value)
        ),
        Action::Read(r) => format!("read compute.firewalls({})", resource(r)),
        Action::WaitFor(step) => format!("wait {step}"),
        Action::Pause(minutes) => format!("wait {minutes}m"),
        Action::Approve(value) => format!("approve \"Go on with ${{{}}}?\"", expr(value)),
        Action::Run { flow, n, keys } => {
            let keys: String = keys.iter().map(|k| format!("-${{{k}}}")).collect();
            format!(
                "run {} {{ tag: \"${{tag}}-{step}{keys}\", n: {} }}",
                flow_name(*flow),
                expr(n)
            )
        }
    }
}

fn expr(e: &Expr) -> String {
    match e {
        Expr::Int(n) if *n < 0 => format!("({n})"),
        Expr::Int(n) => n.to_string(),
        Expr::Name(name, form) => named(name, *form),
        Expr::Binary(op, a, b) => format!("({} {op} {})", expr(a), expr(b)),
        Expr::Not(a) => format!("(not {})", expr(a)),
        Expr::If(c, a, b) => format!("(if {} then {} else {})", expr(c), expr(a), expr(b)),
        Expr::List(items) => {
            let items: Vec<String> = items.iter().map(expr).collect();
            format!("[{}]", items.join(", "))
        }
        Expr::Comp(over) => {
            let body = over
                .body
                .as_ref()
                .map(expr)
                .unwrap_or_else(|| over.var.clone());
            format!("[{body} for {}]", binder(over))
        }
        Expr::Quantifier(word, over) => {
            let body = over.body.as_ref().map(|b| format!(": {}", expr(b)));
            format!("{word}({}{})", binder(over), body.unwrap_or_default())
        }
        Expr::Len(list) => format!("len({})", expr(list)),
        Expr::Mix(a, b) => format!("mix({}, {})", expr(a), expr(b)),
        Expr::UpTo(n) => format!("upto({})", expr(n)),
    }
}

fn named(name: &str, form: Form) -> String {
    match (form.field, form.or) {
        ("", None) => name.to_owned(),
        ("", Some(or)) => match name.split_once('.') {
            Some((step, output)) => format!("({step}?.{output} ?? {or})"),
            None => format!("({name} ?? {or})"),
        },
        (field, None) => format!("{name}.{field}"),
        ("approved", Some(or)) => format!("({name}?.approved ?? {})", or != 0),
        (field, Some(or)) => format!("({name}?.{field} ?? {or})"),
    }
}

fn binder(over: &Over) -> String {
    let filter = over.filter.as_ref().map(|f| format!(" where {}", expr(f)));
    format!(
        "{} in {}{}",
        over.var,
        expr(&over.source),
        filter.unwrap_or_default()
    )
}
