//! What the flows of `workflows/red5` send, compared with what gcloud sends for the same sections of the manual.
//!
//! `tests/fixtures/gcloud-bodies` holds the command lines of each section with the requests that gcloud made of them,
//! and `differences.txt` every difference with its reason. `R5FLOW_UPDATE=1` records anew, writes the page
//! `docs/red5/differences.md`, and never a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::book::{assert_none, files, generated, read, updating};
use crate::gcloud::{Bench, is_here};
use crate::harness::Folder;

const BODIES: &str = "tests/fixtures/gcloud-bodies";
const PAGE: &str = "docs/red5/differences.md";

/// A section of the manual: what gcloud does for it, and the flow that does the same.
#[derive(Deserialize, Serialize, PartialEq, Debug)]
struct Section {
    section: String,
    flow: String,
    /// Further words for the flow's run.
    more: Vec<String>,
    /// The flow of `workflows/red5/tests` that tests the flow.
    test: String,
    commands: Vec<Command>,
}

#[derive(Deserialize, Serialize, PartialEq, Debug)]
struct Command {
    gcloud: String,
    sends: Vec<Sent>,
}

/// A request that changes something.
#[derive(Deserialize, Serialize, PartialEq, Debug, Clone)]
struct Sent {
    verb: String,
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<Map<String, Json>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Json>,
}

impl Sent {
    fn new(verb: &str, path: &str, query: Vec<(String, String)>, body: Option<Json>) -> Sent {
        let query: Map<String, Json> = query
            .into_iter()
            .filter(|(name, _)| name != "alt" && name != "requestId")
            .map(|(name, value)| (name, json!(value)))
            .collect();
        let path = path.trim_start_matches('/');
        Sent {
            verb: verb.into(),
            path: path
                .split_once("projects/demo/")
                .map_or(path, |p| p.1)
                .into(),
            query: (!query.is_empty()).then_some(query),
            body: body.map(|body| steady(body, path.ends_with("/autoscalers"))),
        }
    }

    /// All that is said, in one tree.
    fn said(&self) -> Json {
        let mut all = match self.body.clone() {
            Some(Json::Object(body)) => body,
            _ => Map::new(),
        };
        for (name, value) in self.query.iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            let value = match value.to_lowercase().parse::<bool>() {
                Ok(truth) => json!(truth),
                Err(_) => json!(value),
            };
            all.insert(format!("?{name}"), value);
        }
        plain(Json::Object(all))
    }

    fn name(&self) -> Option<&str> {
        self.body.as_ref()?.get("name")?.as_str()
    }
}

/// Without what is another at every recording: ports, moments, the ids and fingerprints of what was read,
/// addresses that the simulator gives, and the end
/// of the name that gcloud draws for an autoscaler.
fn steady(body: Json, draws: bool) -> Json {
    const PASSING: [(&str, &str); 5] = [
        (r"\b34(\.\d+){3}\b", "(address)"),
        (r"^http://127\.0\.0\.1:\d+/", "http://simulator/"),
        (r"\d{4}-\d\d-\d\d[T ][-0-9:.+Z]+( UTC)?", "(time)"),
        ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "(id)"),
        (r"^[A-Za-z0-9_-]{11}=$|^[0-9a-f]{64}$|^\d{18,20}$", "(read)"),
    ];
    let rules = PASSING.map(|(pattern, word)| (Regex::new(pattern).expect("a pattern"), word));
    let mut body = each_text(body, &|text| {
        rules.iter().fold(text.to_owned(), |text, (pattern, word)| {
            pattern.replace_all(&text, *word).into_owned()
        })
    });
    if draws {
        let drawn = Regex::new("-[a-z0-9]{4}$").expect("a pattern");
        let name = body["name"].as_str().unwrap_or_default();
        body["name"] = json!(drawn.replace(name, "-(drawn)"));
    }
    body
}

/// References without hosts, from `projects/` on.
fn plain(body: Json) -> Json {
    each_text(body, &|text| {
        let below = ["zones/", "regions/", "global/"];
        match text.split_once("projects/") {
            Some((host, rest)) if host.is_empty() || host.starts_with("http") => {
                format!("projects/{rest}")
            }
            _ if below.iter().any(|b| text.starts_with(b)) => format!("projects/demo/{text}"),
            _ => text.into(),
        }
    })
}

fn each_text(value: Json, change: &dyn Fn(&str) -> String) -> Json {
    match value {
        Json::String(text) => Json::String(change(&text)),
        Json::Array(items) => items.into_iter().map(|v| each_text(v, change)).collect(),
        Json::Object(fields) => Json::Object(
            fields
                .into_iter()
                .map(|(name, v)| (name, each_text(v, change)))
                .collect(),
        ),
        other => other,
    }
}

fn fixtures() -> Vec<(PathBuf, Section)> {
    files(BODIES, ".json")
        .into_iter()
        .map(|path| {
            let section = serde_json::from_str(&read(&path));
            let section = section.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            (path, section)
        })
        .collect()
}

/// The requests in what `gcloud --log-http` tells, without those that only read or wait.
fn told(log: &str) -> Vec<Sent> {
    let requests = log.split("==== request start ====").skip(1);
    let sent = requests.filter_map(|request| {
        let line = |name: &str| request.lines().find_map(|l| l.strip_prefix(name));
        let (verb, uri) = (line("method: ")?, line("uri: ")?);
        let rest = uri.split_once("://")?.1.split_once('/')?.1;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if verb == "GET" || path.ends_with("/wait") || path.ends_with("/getHealth") {
            return None;
        }
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let (_, body) = request.split_once("== body start ==\n")?;
        let body = body.split_once("\n== body end ==")?.0;
        Some(Sent::new(
            verb,
            path,
            query,
            serde_json::from_str(body).ok(),
        ))
    });
    sent.collect()
}

/// Where gcloud is, it must still send what is kept. It does so in one project, section after section.
#[test]
fn gcloud_sends_what_is_kept_of_it() {
    if !is_here("the kept bodies") {
        return;
    }
    let bench = Bench::new("");
    let script = read(&Path::new(BODIES).join("startup-script.sh"));
    bench.folder.write("startup-script.sh", &script);
    for (path, kept) in fixtures() {
        let commands = kept.commands.iter().map(|command| {
            let (fine, out, err) = bench.gcloud(&format!("{} --log-http", command.gcloud));
            assert!(fine, "{}: {out}{err}", command.gcloud);
            let gcloud = command.gcloud.clone();
            let sends = told(&err);
            Command { gcloud, sends }
        });
        let now = Section {
            commands: commands.collect(),
            ..serde_json::from_str(&read(&path)).expect("read before")
        };
        if updating() {
            let text = serde_json::to_string_pretty(&now).expect("JSON");
            std::fs::write(&path, text + "\n").expect("written");
        } else {
            assert_eq!(now, kept, "{}", path.display());
        }
    }
}

/// What each flow sends in the project that those before it left, by the section's flow.
fn flows_send(sections: &[(PathBuf, Section)]) -> BTreeMap<String, Vec<Sent>> {
    let folder = Folder::new(&[]);
    let beside = |file: &PathBuf| file.parent() == Some(Path::new("workflows/red5"));
    for file in files("workflows/red5", "").into_iter().filter(beside) {
        let name = file.file_name().expect("a name").to_string_lossy();
        folder.write(&name, &read(&file));
    }
    let mut sent: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
    let mut seen = 0;
    for (_, section) in sections {
        let flow = &section.flow;
        if sent.contains_key(flow) {
            continue;
        }
        let (file, inputs) = (format!("{flow}.r5flow"), format!("{flow}.example.toml"));
        let mut words = vec!["run", &file, "--inputs", &inputs, "--sim", "--yes"];
        words.extend(section.more.iter().map(String::as_str));
        let _ = folder.run(&words).ends(0);
        let calls = logged(&folder.read(".r5flow/sim/cloud.log"));
        sent.insert(flow.clone(), calls[seen..].to_vec());
        seen = calls.len();
    }
    sent
}

/// The calls in the simulator's log.
fn logged(log: &str) -> Vec<Sent> {
    let calls = log.lines().filter_map(|line| {
        let entry: Json = serde_json::from_str(line.split_once(' ')?.1).expect("an entry");
        let call = entry.get("call")?;
        let text = |name: &str| call[name].as_str().expect("text");
        let query = serde_json::from_value(call["query"].clone()).unwrap_or_default();
        let bytes: Option<Vec<u8>> = serde_json::from_value(call["body"].clone()).ok();
        let body = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Some(Sent::new(text("verb"), text("path"), query, body))
    });
    calls.collect()
}

/// What is said of one resource by one method, all calls laid over one another.
struct Said {
    call: String,
    all: Json,
}

/// A resource that is made and then changed is said once: gcloud often needs a second command for it.
fn laid_together<'s>(calls: impl Iterator<Item = &'s Sent>) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    for sent in calls {
        let name = sent.name().filter(|_| sent.verb == "POST");
        let name = name.map(|n| format!(" {n}")).unwrap_or_default();
        let call = format!("{} {}{name}", sent.verb, sent.path);
        let (collection, name) = sent.path.rsplit_once('/').unwrap_or_default();
        let making = format!("POST {collection} {name}");
        let changes = ["PATCH", "PUT"].contains(&sent.verb.as_str());
        let before = |s: &&mut Said| changes && (s.call == making || s.call == call);
        match said.iter_mut().find(before) {
            Some(before) => merge(&mut before.all, sent.said()),
            None => said.push(Said {
                call,
                all: sent.said(),
            }),
        }
    }
    said
}

/// As a PATCH does it.
fn merge(old: &mut Json, new: Json) {
    match (old, new) {
        (Json::Object(old), Json::Object(new)) => {
            for (name, value) in new {
                merge(old.entry(name).or_insert(Json::Null), value);
            }
        }
        (old, new) => *old = new,
    }
}

/// What differs: in a field, or the whole call where `field` is `*`.
#[derive(PartialEq, Debug)]
struct Difference {
    call: String,
    field: String,
    gcloud: Option<Json>,
    flow: Option<Json>,
}

impl Difference {
    fn who(&self) -> &'static str {
        match (&self.gcloud, &self.flow) {
            (Some(_), None) => "gcloud",
            (None, Some(_)) => "flow",
            _ => "differs",
        }
    }
}

/// Calls are compared with those of the same name; what is left of one path, in its order.
fn compare(gcloud: Vec<Said>, mut flow: Vec<Said>) -> Vec<Difference> {
    let mut found = Vec::new();
    for said in gcloud {
        let path = |call: &str| call.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
        let same = flow.iter().position(|f| f.call == said.call);
        let like = || {
            let other = |f: &Said| path(&f.call) == path(&said.call);
            flow.iter().position(other)
        };
        let place = same.or_else(like);
        let Some(place) = place else {
            found.push(Difference {
                call: said.call,
                field: "*".into(),
                gcloud: Some(said.all),
                flow: None,
            });
            continue;
        };
        let other = flow.remove(place);
        let (g, f) = (Some(&said.all), Some(&other.all));
        differ(&other.call, String::new(), g, f, &mut found);
    }
    found.extend(flow.into_iter().map(|said| Difference {
        call: said.call,
        field: "*".into(),
        gcloud: None,
        flow: Some(said.all),
    }));
    found
}

/// What one side lacks altogether is told as a whole.
fn differ(
    call: &str,
    field: String,
    gcloud: Option<&Json>,
    flow: Option<&Json>,
    found: &mut Vec<Difference>,
) {
    match (gcloud, flow) {
        (Some(Json::Object(g)), Some(Json::Object(f))) => {
            let names: BTreeSet<&String> = g.keys().chain(f.keys()).collect();
            for name in names {
                let dot = if field.is_empty() { "" } else { "." };
                let below = format!("{field}{dot}{name}");
                differ(call, below, g.get(name), f.get(name), found);
            }
        }
        (Some(Json::Array(g)), Some(Json::Array(f))) if g.iter().chain(f).all(Json::is_object) => {
            let (g, f) = (by_name(g), by_name(f));
            let names: BTreeSet<&String> = g.keys().chain(f.keys()).collect();
            for name in names {
                let below = format!("{field}[{name}]");
                differ(
                    call,
                    below,
                    g.get(name).copied(),
                    f.get(name).copied(),
                    found,
                );
            }
        }
        (Some(g), Some(f)) if alike(g, f) => {}
        _ => found.push(Difference {
            call: call.into(),
            field,
            gcloud: gcloud.cloned(),
            flow: flow.cloned(),
        }),
    }
}

/// Objects of a list by what tells them apart, else by their places.
fn by_name(items: &[Json]) -> BTreeMap<String, &Json> {
    let own = |item: &Json| {
        let mut known = ["key", "value"].iter().filter_map(|k| item[k].as_str());
        known.next().map(str::to_owned)
    };
    let named = items.iter().enumerate();
    named
        .map(|(place, item)| (own(item).unwrap_or(place.to_string()), item))
        .collect()
}

/// `1` and `1.0` are one number, and a long one may be a text.
fn alike(a: &Json, b: &Json) -> bool {
    let bare = |v: &Json| match v {
        Json::String(text) => text.clone(),
        Json::Number(n) => n.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    };
    a == b || ((a.is_number() || b.is_number()) && bare(a) == bare(b))
}

/// A line of `differences.txt`.
#[derive(Debug)]
struct Reason {
    section: String,
    call: String,
    who: String,
    field: String,
    why: String,
}

fn reasons() -> Vec<Reason> {
    let text = read(&Path::new(BODIES).join("differences.txt"));
    let (mut section, mut call) = (String::new(), String::new());
    let mut found: Vec<Reason> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.into();
        } else if let Some(field) = line.strip_prefix("  ") {
            let mut parts = field.splitn(3, ' ');
            let mut part = || parts.next().unwrap_or_default().trim().to_owned();
            let (who, field, why) = (part(), part(), part());
            let (section, call) = (section.clone(), call.clone());
            found.push(Reason {
                section,
                call,
                who,
                field,
                why,
            });
        } else if !line.starts_with('#') {
            call = line.into();
        }
    }
    found
}

/// Every difference has its reason, every reason its difference; the page shows both.
#[test]
fn the_flows_send_what_gcloud_sends_but_for_what_has_a_reason() {
    let sections = fixtures();
    let mut flows = flows_send(&sections);
    let reasons = reasons();
    let mut wrong = Vec::new();
    let mut used = vec![false; reasons.len()];
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (flow, calls) in &mut flows {
        let of = sections.iter().filter(|(_, s)| s.flow == *flow);
        let sent = of.flat_map(|(_, s)| s.commands.iter().flat_map(|c| &c.sends));
        for found in compare(laid_together(sent), laid_together(calls.iter())) {
            let at = reasons.iter().position(|r| {
                (&r.call, &r.field, r.who.as_str()) == (&found.call, &found.field, found.who())
                    && sections
                        .iter()
                        .any(|(_, s)| s.section == r.section && s.flow == *flow)
            });
            let Some(at) = at.filter(|at| !reasons[*at].why.is_empty()) else {
                wrong.push(format!(
                    "{flow}: no reason for this difference:\n{}\n  {} {}\n    gcloud {}\n    flow   {}",
                    found.call,
                    found.who(),
                    found.field,
                    shown(found.gcloud.as_ref()),
                    shown(found.flow.as_ref())
                ));
                continue;
            };
            used[at] = true;
            rows.entry(&reasons[at].section).or_default().push(format!(
                "| `{}` | `{}` | {} | {} | {} |\n",
                found.call,
                found.field,
                shown(found.gcloud.as_ref()),
                shown(found.flow.as_ref()),
                reasons[at].why
            ));
        }
    }
    for (reason, _) in reasons.iter().zip(used).filter(|(_, used)| !used) {
        wrong.push(format!("a reason for no difference: {reason:?}"));
    }
    assert_none(&wrong);
    generated(PAGE, "differences", &page(&sections, &rows));
    generated("docs/red5/README.md", "compared", &table(&sections, &rows));
}

fn shown(value: Option<&Json>) -> String {
    let Some(value) = value else {
        return "·".into();
    };
    let text = value.to_string().replace("projects/demo/", "");
    let short: String = text.chars().take(70).collect();
    let dots = if short == text { "" } else { "…" };
    format!("`{}{dots}`", short.replace('|', "\\|").replace('`', "'"))
}

fn page(sections: &[(PathBuf, Section)], rows: &BTreeMap<&str, Vec<String>>) -> String {
    let mut page = String::new();
    for (_, s) in sections {
        let _ = write!(page, "\n## {}\n\n```text\n", s.section);
        for command in &s.commands {
            let _ = writeln!(page, "gcloud {}", command.gcloud);
        }
        let _ = write!(page, "```\n\n");
        let Some(rows) = rows.get(s.section.as_str()) else {
            let _ = writeln!(page, "`{}` sends the same.", s.flow);
            continue;
        };
        let _ = write!(
            page,
            "| call | field | gcloud | `{}` | why |\n|---|---|---|---|---|\n{}",
            s.flow,
            rows.concat()
        );
    }
    page
}

fn table(sections: &[(PathBuf, Section)], rows: &BTreeMap<&str, Vec<String>>) -> String {
    let mut table = String::from(
        "| section of the manual | gcloud commands | flow | test | differing fields and calls |\n|---|--:|---|---|--:|\n",
    );
    for (_, s) in sections {
        let _ = writeln!(
            table,
            "| {} | {} | `{}` | [{test}](../../workflows/red5/tests/{test}.r5flow) | {} |",
            s.section,
            s.commands.len(),
            s.flow,
            rows.get(s.section.as_str()).map_or(0, Vec::len),
            test = s.test,
        );
    }
    table
}
