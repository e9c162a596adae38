//! What a step asks for, with the values that it stands on: compared when a flow was edited.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::cx::Cx;
use super::settle::incarnation;
use super::target::{self, path_text};
use super::{Result, clauses, http, read, wait};
use crate::catalog::{coerce, compare};
use crate::journal::Meaning;
use crate::plan::{Edge, Graph, NodeId, Work};
use crate::source::Span;
use crate::syntax::ast::{ActionKind, ApiCall, Checkpoint, ClauseKind, HttpCall, Step};
use crate::value::Value;

/// What a step means. `it` stands for the resource in its text: the recorded one.
///
/// # Errors
/// Of an expression that has no value, or none yet.
pub async fn meaning<'p>(cx: &Cx<'p>, step: &'p Step, it: &Value) -> Result<Meaning> {
    cx.only_mean();
    let mut meaning = match &step.action.kind {
        ActionKind::Ensure(call) => ensure(cx, call, it).await?,
        ActionKind::Call(call) => called(cx, call, it).await?,
        ActionKind::Read(call) => {
            let (kind, target, body) = reading(cx, call).await?;
            Meaning {
                kind: format!("read {kind}"),
                target,
                body,
                ..Meaning::default()
            }
        }
        ActionKind::WaitApi(call) => {
            let (kind, target, body) = reading(cx, call).await?;
            waited(format!("wait {kind}"), target, body, cx, step)
        }
        ActionKind::WaitStep(named) if !wait::is_time(cx, named) => {
            waited("wait".into(), text(cx, named.span), Json::Null, cx, step)
        }
        ActionKind::WaitHttp(call) => {
            let (kind, target, body) = web(cx, call).await?;
            waited(format!("wait {kind}"), target, body, cx, step)
        }
        // A pause that is over is over, however long it would be now.
        ActionKind::WaitStep(span) | ActionKind::WaitPause(span) => Meaning {
            kind: "wait".into(),
            guards: text(cx, span.span),
            ..Meaning::default()
        },
        ActionKind::Http(call) => {
            let (kind, target, body) = web(cx, call).await?;
            Meaning {
                kind,
                target,
                body,
                ..Meaning::default()
            }
        }
        ActionKind::Approve(asked) => Meaning {
            kind: "approve".into(),
            target: cx.eval(asked, None).await?.to_string(),
            ..Meaning::default()
        },
        ActionKind::Hook { name, args } => {
            let args = cx.args(args).await?;
            Meaning {
                kind: "hook".into(),
                target: name.text.to_string(),
                body: json!({
                    "text": hook_text(cx, &name.text),
                    "args": args.iter().map(Value::to_json).collect::<Vec<_>>(),
                }),
                ..Meaning::default()
            }
        }
        ActionKind::Run { .. } | ActionKind::Broken => Meaning::default(),
    };
    if meaning.guards.is_empty() && !meaning.kind.starts_with("wait") {
        meaning.guards = guards(cx, step);
    }
    meaning.refs = refs(cx, &meaning);
    Ok(meaning)
}

/// The same of a step whose expressions have no values: its words.
pub fn in_words(cx: &Cx<'_>, step: &Step) -> Meaning {
    let word = match &step.action.kind {
        ActionKind::Ensure(call) => format!("ensure {}", path_text(&call.path)),
        ActionKind::Call(call) => format!("call {}", path_text(&call.path)),
        ActionKind::Read(call) => format!("read {}", path_text(&call.path)),
        ActionKind::Http(call) => format!("http {}", call.method.text),
        ActionKind::Approve(_) => "approve".into(),
        ActionKind::Hook { .. } => "hook".into(),
        _ => "wait".into(),
    };
    Meaning {
        kind: word,
        target: text(cx, step.action.span),
        guards: guards(cx, step),
        ..Meaning::default()
    }
}

/// What a checkpoint asks of a person, and its conditions.
pub async fn of_checkpoint<'p>(cx: &Cx<'p>, checkpoint: &'p Checkpoint) -> Result<Meaning> {
    cx.only_mean();
    let target = match &checkpoint.approve {
        Some(asked) => cx.eval(asked, None).await?.to_string(),
        None => String::new(),
    };
    let conditions = checkpoint.requires.iter();
    let guards: Vec<String> = conditions.map(|g| text(cx, g.condition.span)).collect();
    Ok(Meaning {
        kind: "checkpoint".into(),
        target,
        guards: guards.join("; "),
        ..Meaning::default()
    })
}

async fn ensure(cx: &Cx<'_>, call: &ApiCall, it: &Value) -> Result<Meaning> {
    let target = target::resolve(cx, call, None).await?;
    let line = match target.get() {
        Some(Ok(get)) => get.line(),
        Some(Err(found)) => return Err(target::problems(cx, call, &found)),
        None => String::new(),
    };
    let resource = target.collection.as_ref().and_then(|c| c.resource.clone());
    let body = match (&call.body, resource) {
        (Some(object), Some(resource)) => {
            let value = cx.object(object, Some(it)).await?;
            coerce::body(&cx.shared.catalog, &resource, &value)
                .map_err(|p| target::problems(cx, call, &p))?
        }
        _ => json!({}),
    };
    Ok(Meaning {
        kind: format!("ensure {}", path_text(&call.path)),
        target: line,
        body,
        ..Meaning::default()
    })
}

async fn called(cx: &Cx<'_>, call: &ApiCall, it: &Value) -> Result<Meaning> {
    let target = target::resolve(cx, call, Some(it)).await?;
    let (line, body) = read::line_and_body(cx, call, &target, Some(it)).await?;
    Ok(Meaning {
        kind: format!("call {}", path_text(&call.path)),
        target: line,
        body,
        ..Meaning::default()
    })
}

async fn reading(cx: &Cx<'_>, call: &ApiCall) -> Result<(String, String, Json)> {
    let target = target::resolve(cx, call, None).await?;
    let (line, body) = read::line_and_body(cx, call, &target, None).await?;
    Ok((path_text(&call.path), line, body))
}

/// A request of `http` without what only says who asks: a renewed token changes nothing.
async fn web(cx: &Cx<'_>, call: &HttpCall) -> Result<(String, String, Json)> {
    let mut request = http::request(cx, call).await?;
    request.headers.retain(|(name, _)| !is_credential(name));
    request.headers.sort();
    let mut query = request.query.clone();
    query.retain(|(name, _)| !is_credential(name));
    let body = json!({
        "query": query,
        "headers": request.headers,
        "body": request.body,
    });
    Ok((
        format!("http {}", request.verb.as_str()),
        request.path,
        body,
    ))
}

/// Names under which requests carry who asks, and not what is asked.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        &*name,
        "cookie" | "apikey" | "access_token" | "key" | "token" | "accesstoken"
    ) || [
        "authorization",
        "-token",
        "-key",
        "-auth",
        "-secret",
        "-signature",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

fn waited(kind: String, target: String, body: Json, cx: &Cx<'_>, step: &Step) -> Meaning {
    Meaning {
        kind,
        target,
        body: json!({ "request": body, "until": guards(cx, step) }),
        ..Meaning::default()
    }
}

/// The conditions of a step, as written.
fn guards(cx: &Cx<'_>, step: &Step) -> String {
    let mut all: Vec<String> = Vec::new();
    for clause in &step.clauses {
        let found = match &clause.kind {
            ClauseKind::Until(condition) => text(cx, condition.span),
            ClauseKind::Unless(condition) => text(cx, condition.span),
            _ => continue,
        };
        all.push(found);
    }
    let conditions = clauses::requires(step)
        .chain(clauses::fail_whens(step))
        .chain(clauses::expects(step));
    all.extend(conditions.map(|g| text(cx, g.condition.span)));
    all.join("; ")
}

/// A piece of the flow on one line.
fn text(cx: &Cx<'_>, span: Span) -> String {
    let graph = cx.shared.graph.borrow();
    let words = graph.names.program.sources.slice(span).split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

fn hook_text(cx: &Cx<'_>, name: &str) -> String {
    use crate::syntax::ast::HookBody;
    let graph = cx.shared.graph.borrow();
    let module = graph.flow_of(cx.scope).module;
    let declared = crate::plan::hook_id(&graph, module, name)
        .and_then(|id| crate::plan::hook_declaration(graph.names, &id));
    let Some((home, def)) = declared else {
        return String::new();
    };
    let params: Vec<&str> = def.params.iter().map(|p| &*p.name.text).collect();
    let body = match &def.body {
        HookBody::Inline(text, _) => text.to_string(),
        HookBody::File(file) => {
            let file = graph.names.program.hook_file(home, &file.text);
            file.map(|f| f.text.to_string()).unwrap_or_default()
        }
    };
    format!("{}|{body}", params.join(","))
}

/// The resources behind a step that its request names, with their incarnations.
fn refs(cx: &Cx<'_>, meaning: &Meaning) -> BTreeMap<String, String> {
    let graph = cx.shared.graph.borrow();
    let mut resources = BTreeMap::new();
    let mut seen = BTreeSet::new();
    behind(&graph, cx.node, &mut seen, &mut resources);
    if resources.is_empty() {
        return resources;
    }
    let mut words = vec![meaning.target.clone()];
    leaves(&meaning.body, &mut words);
    resources.retain(|link, _| {
        let name = link.rsplit('/').next().unwrap_or(link);
        words.iter().any(|word| {
            word == name
                || link.contains('/') && word.contains(link.as_str())
                || compare::same_resource(word, link)
        })
    });
    resources
}

/// Collects the resources that a node's values come from.
fn behind(
    graph: &Graph<'_>,
    node: NodeId,
    seen: &mut BTreeSet<NodeId>,
    out: &mut BTreeMap<String, String>,
) {
    for (before, why) in graph.before(node) {
        if why != Edge::Data || !seen.insert(before) {
            continue;
        }
        if matches!(graph.node(before).work, Work::Gather | Work::End) {
            behind(graph, before, seen, out);
        }
        if let Some(value) = graph.result(before) {
            incarnations(&value.to_json(), 0, out);
        }
    }
}

/// How deep in an answer resources are looked for: lists of them, and maps of such lists.
const DEPTH: usize = 4;

fn incarnations(json: &Json, depth: usize, out: &mut BTreeMap<String, String>) {
    if depth > DEPTH {
        return;
    }
    match json {
        Json::Object(fields) => {
            let link = ["selfLink", "name"]
                .iter()
                .find_map(|f| fields.get(*f)?.as_str());
            if let (Some(link), Some(id)) = (link, incarnation(json)) {
                let link = link.find("projects/").map_or(link, |at| &link[at..]);
                let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                out.insert(link.to_owned(), id);
            }
            fields
                .values()
                .for_each(|f| incarnations(f, depth + 1, out));
        }
        Json::Array(items) => items.iter().for_each(|i| incarnations(i, depth + 1, out)),
        _ => {}
    }
}

fn leaves(json: &Json, out: &mut Vec<String>) {
    match json {
        Json::String(text) => out.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|i| leaves(i, out)),
        Json::Object(fields) => fields.values().for_each(|f| leaves(f, out)),
        _ => {}
    }
}
