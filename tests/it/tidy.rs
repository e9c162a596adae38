//! The house in order: who may use whom, where a crate may be named, and what no file contains.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Rust files below a folder: path and text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder}: {e}"));
    for entry in entries {
        let path = entry.expect("a readable entry").path();
        let name = path.to_str().expect("a path of text").to_owned();
        if path.is_dir() {
            found.extend(sources(&name));
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
            found.push((name, text));
        }
    }
    found.sort();
    found
}

/// Files that hold tests only; they may look anywhere.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests")
        || path.ends_with("_tests.rs")
        || path.ends_with("conformance.rs")
}

/// The text without its comments and without what stands behind `#[cfg(test)] mod`.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end]
        .lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .map(|l| format!("{l}\n"))
        .collect()
}

/// The rooms in their order.
fn rooms() -> Vec<String> {
    let lib = std::fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    lib.lines()
        .filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// `cli` of `src/cli/session/plan.rs`, `value` of `src/value.rs`.
fn room(path: &str) -> &str {
    let rest = path.strip_prefix("src/").unwrap_or(path);
    rest.split(['/', '.']).next().unwrap_or(rest)
}

/// The words that stand behind `mark` and are followed by no letter: `crate::x` gives `x`.
fn words_behind<'t>(text: &'t str, mark: &str) -> BTreeSet<&'t str> {
    text.match_indices(mark)
        .map(|(at, _)| {
            let rest = &text[at + mark.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
        .collect()
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rooms_keep_their_order() {
    let rooms = rooms();
    let place = |name: &str| rooms.iter().position(|r| r == name);
    let mut wrong = Vec::new();
    for (path, text) in sources("src").iter().filter(|(p, _)| !is_test(p)) {
        let Some(here) = place(room(path)) else {
            continue;
        };
        for used in words_behind(&code(text), "crate::") {
            if place(used).is_some_and(|there| there > here) {
                wrong.push(format!("{path} uses `{used}`, which stands below it"));
            }
        }
    }
    assert_none(&wrong);
}

/// Crates that belong to a few places.
const HOMES: &[(&str, &[&str])] = &[
    ("pest", &["src/syntax/"]),
    ("pest_derive", &["src/syntax/"]),
    ("miette", &["src/diag/render.rs"]),
    // The checker looks for cycles before there is a graph of a run.
    ("petgraph", &["src/plan/", "src/check/order.rs"]),
    ("rhai", &["src/hook/"]),
    ("reqwest", &["src/cloud/"]),
    ("rustls", &["src/cloud/"]),
    ("base64", &["src/cloud/"]),
    ("gcp_auth", &["src/cloud/gcloud.rs"]),
    ("rusqlite", &["src/store/"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("hyper", &["src/sim/serve.rs"]),
    ("hyper_util", &["src/sim/serve.rs"]),
    ("http_body_util", &["src/sim/serve.rs"]),
    ("jiff", &["src/sim/model/schedules.rs"]),
    ("flate2", &["src/catalog/", "src/sim/coding.rs"]),
    ("strsim", &["src/diag/"]),
    ("toml_edit", &["src/cli/lib/edit.rs"]),
    ("serde_yaml_ng", &["src/cli/"]),
];

/// Whether a path such as `pest::Parser` begins with this crate, and not `x::pest`.
fn names_crate(text: &str, name: &str) -> bool {
    text.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
    })
}

#[test]
fn each_crate_stays_in_its_room() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").iter().filter(|(p, _)| !is_test(p)) {
        let code = code(text);
        for (name, homes) in HOMES {
            let home = homes.iter().any(|h| path.starts_with(h));
            if !home && names_crate(&code, name) {
                wrong.push(format!(
                    "{path} names `{name}`, which belongs to {}",
                    homes.join(", ")
                ));
            }
        }
    }
    assert_none(&wrong);
}

/// The clock and chance come from `world`; a hook's deadline is the one place that asks a stopwatch.
#[test]
fn only_the_world_asks_for_time_and_chance() {
    const ASKS: [&str; 4] = [
        "SystemTime::now",
        "Utc::now",
        "Uuid::new_v4",
        "Uuid::now_v7",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources("src").iter().filter(|(p, _)| !is_test(p)) {
        let code = code(text);
        let named = ASKS.iter().filter(|a| code.contains(**a));
        if !path.starts_with("src/world/") {
            wrong.extend(named.map(|a| format!("{path} asks {a}")));
        }
    }
    assert_none(&wrong);
}

/// What a run does leaves the process as an effect of the core, so that deaths can be tried at every
/// one of them. The compared hooks, and how long they take, stand in `hook`.
#[test]
fn a_run_has_no_way_out_but_its_effects() {
    const ROOMS: [&str; 6] = ["plan", "eval", "journal", "run", "spec", "catalog"];
    const WAYS: [&str; 9] = [
        "tokio::fs",
        "tokio::net",
        "tokio::time",
        "TcpStream",
        "UdpSocket",
        "Instant::now",
        "thread::sleep",
        "Command::new",
        "process::exit",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources("src").iter().filter(|(p, _)| !is_test(p)) {
        let code = code(text);
        if ROOMS.contains(&room(path)) {
            let named = WAYS.iter().filter(|way| code.contains(**way));
            wrong.extend(named.map(|way| format!("{path} names {way}")));
        }
    }
    assert_none(&wrong);
}

/// Other programs are git's affair, and that of credentials which name one.
#[test]
fn only_what_fetches_and_who_asks_for_tokens_start_processes() {
    let all = sources("src");
    let starts = |text: &str| code(text).contains("Command::new");
    let found: Vec<&String> = all
        .iter()
        .filter(|(_, t)| starts(t))
        .map(|(p, _)| p)
        .collect();
    assert_eq!(found, ["src/cloud/exchange.rs", "src/fetch/git.rs"]);
}

/// Spelt in pieces, so that this file does not contain them.
fn forbidden() -> Vec<(String, &'static str)> {
    vec![
        (format!("{}!(", "todo"), "unfinished"),
        (format!("{}!(", "unimplemented"), "unfinished"),
        (format!("{}!(", "dbg"), "left over"),
        (format!("// {}", "─".repeat(2)), "a banner"),
        (format!("// {}", "=".repeat(4)), "a banner"),
        (format!("// {}", "-".repeat(4)), "a banner"),
    ]
}

#[test]
fn nothing_unfinished_and_no_banners() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        for (n, line) in text.lines().enumerate() {
            for (word, why) in &forbidden() {
                if line.contains(word.as_str()) {
                    wrong.push(format!("{path}:{}: {why}: {}", n + 1, line.trim()));
                }
            }
        }
    }
    assert_none(&wrong);
}

/// A comment tells what is, not what was. History is in the log.
#[test]
fn no_comment_tells_the_history() {
    let told = [
        "previously",
        "now uses",
        "used to be",
        "was changed",
        "refactored",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        for (n, line) in text.lines().enumerate() {
            let Some((_, comment)) = line.split_once("// ") else {
                continue;
            };
            let lower = comment.to_lowercase();
            if told.iter().any(|t| lower.contains(t)) {
                wrong.push(format!("{path}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    assert_none(&wrong);
}

/// Longer than this a file needs a reason.
const LONGEST: usize = 700;

const LONG: &[(&str, &str)] = &[
    ("src/check/steps.rs", "one method for each kind of step"),
    ("src/plan/build.rs", "one pass: statements to nodes"),
];

#[test]
fn long_files_have_a_reason() {
    let all = sources("src").into_iter().chain(sources("tests"));
    let long: BTreeMap<String, usize> = all
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .collect();
    let reasons: BTreeSet<&str> = LONG.iter().map(|(p, _)| *p).collect();
    let wrong: Vec<String> = long
        .iter()
        .filter(|(path, _)| !reasons.contains(path.as_str()))
        .map(|(path, lines)| format!("{path} has {lines} lines: divide it, or say why not"))
        .collect();
    assert_none(&wrong);
}

#[test]
fn no_file_is_named_after_nothing() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let name = Path::new(&path).file_stem().and_then(|n| n.to_str());
        if matches!(name, Some("utils" | "util" | "helpers" | "common" | "misc")) {
            wrong.push(path.clone());
        }
        let binary = path == "src/main.rs";
        if !binary && !is_test(&path) && !text.trim().is_empty() && !text.starts_with("//!") {
            wrong.push(format!("{path} does not say what it is, in a `//!` line"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_dependency_is_used_and_has_its_reason() {
    let manifest = std::fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    let page = std::fs::read_to_string("docs/decisions/0002-dependencies.md").expect("the page");
    let words: BTreeSet<&str> = page
        .lines()
        .filter(|l| l.starts_with("| "))
        .filter_map(|l| l.split('|').nth(1))
        .flat_map(|cell| cell.split([',', ' ', '(']))
        .collect();
    let code: String = ["src", "tests", "benches"]
        .into_iter()
        .filter(|folder| Path::new(folder).is_dir())
        .flat_map(sources)
        .map(|(_, text)| text)
        .collect();
    let mut inside = false;
    let mut wrong = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            continue;
        }
        let Some((name, _)) = line.split_once(" = ").filter(|_| inside) else {
            continue;
        };
        if !words.contains(name) {
            wrong.push(format!(
                "`{name}` has no line in docs/decisions/0002-dependencies.md"
            ));
        }
        if !names_crate(&code, &name.replace('-', "_")) {
            wrong.push(format!("nobody uses `{name}`"));
        }
    }
    assert_none(&wrong);
}
