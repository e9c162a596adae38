//! Flows with the findings that the checker must raise, written below the lines they belong to:
//!
//! ```text
//! step image = ensure compute.imags(name) {}
//! //~ error R0401 `imags`: `compute` has no collection `imags`
//! ```
//!
//! Every finding must be written and every written one must be found, with its whole message and
//! the first line of the text that it underlines. `R5FLOW_UPDATE=1 cargo test --test it suite`
//! writes what is found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use r5flow::diag::{CODES, Diagnostic, Severity};
use r5flow::package::{Disk, Files, Program, load};

use crate::book::judged;

const MARK: &str = "//~ ";

/// The disk without the expectations, so that they change no place.
pub struct Bare;

impl Files for Bare {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let text = String::from_utf8(Disk.read(path)?).map_err(|e| e.to_string())?;
        Ok(bare(&text).into_bytes())
    }
}

pub fn bare(text: &str) -> String {
    text.split_inclusive('\n')
        .filter(|line| !line.trim_start().starts_with(MARK))
        .collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{folder}: {e}"))
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "r5flow"))
        .collect();
    found.sort();
    found
}

fn findings(path: &Path) -> (Program, Vec<Diagnostic>) {
    let name = path.to_str().expect("a path of text");
    let (program, mut all) = load(name, &Bare).unwrap_or_else(|e| panic!("{name}: {e}"));
    all.extend(judged(&program));
    all.sort_by_key(|d| (d.span, d.code));
    (program, all)
}

fn line(program: &Program, found: &Diagnostic) -> String {
    let severity = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "advice",
    };
    let underlined = program.sources.slice(found.span);
    let first = underlined.lines().next().unwrap_or("");
    format!(
        "{MARK}{severity} {} `{first}`: {}",
        found.code, found.message
    )
}

/// The text with its findings written below the lines that they begin in.
fn annotated(path: &Path) -> String {
    let (program, all) = findings(path);
    let root = &program.root().source;
    let mut below: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for found in &all {
        let text = line(&program, found);
        if found.span.source == root.id {
            let (at, _) = root.line_column(found.span.start);
            below.entry(at).or_default().push(text);
        } else {
            elsewhere.push(format!("{text} ({})", program.sources.place(found.span)));
        }
    }
    let mut out = String::new();
    for (n, text) in root.text.split_inclusive('\n').enumerate() {
        out.push_str(text);
        let indent: String = text.chars().take_while(|c| *c == ' ').collect();
        for finding in below.get(&(n + 1)).into_iter().flatten() {
            out.push_str(&format!("{indent}{finding}\n"));
        }
    }
    for finding in elsewhere {
        out.push_str(&format!("{finding}\n"));
    }
    out
}

fn compare(path: &Path) -> Option<String> {
    let expected = std::fs::read_to_string(path).expect("a readable file");
    let found = annotated(path);
    if expected == found {
        return None;
    }
    if std::env::var_os("R5FLOW_UPDATE").is_some() {
        std::fs::write(path, &found).expect("a writable file");
        return None;
    }
    let marks = |text: &str| -> BTreeSet<String> {
        text.lines()
            .map(str::trim)
            .filter(|l| l.starts_with(MARK))
            .map(str::to_owned)
            .collect()
    };
    let (expected, found) = (marks(&expected), marks(&found));
    let missing = expected
        .difference(&found)
        .map(|l| format!("\n  missing    {l}"));
    let more = found
        .difference(&expected)
        .map(|l| format!("\n  unexpected {l}"));
    let list: String = missing.chain(more).collect();
    Some(format!("{}:{list}", path.display()))
}

fn compare_all(paths: &[PathBuf]) {
    let wrong: Vec<String> = paths.iter().filter_map(|p| compare(p)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_suite_file_raises_what_it_says() {
    compare_all(&files("tests/suite/check"));
    compare_all(&files("tests/suite/policies"));
}

#[test]
fn the_samples_and_the_shipped_flows_are_clean() {
    let mut paths = files("workflows/red5");
    paths.extend(files("workflows/red5/tests"));
    paths.extend(files("stdlib/red5"));
    paths.extend(files("stdlib/gcp"));
    paths.extend(files("stdlib/policies"));
    paths.retain(|p| !p.ends_with(AS_WRITTEN));
    let clean = files("tests/suite/check").into_iter();
    paths.extend(clean.filter(|p| p.to_string_lossy().contains("clean_")));
    for path in &paths {
        let (program, all) = findings(path);
        let lines: Vec<String> = all
            .iter()
            .map(|d| format!("{} {}", program.sources.place(d.span), line(&program, d)))
            .collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }
}

/// The manual with its mistakes, which the policies find: `rules.rs` holds the list.
const AS_WRITTEN: &str = "as-written.r5flow";

/// A code that no file raises would be a promise that nobody keeps.
#[test]
fn every_code_of_the_checker_is_raised_by_a_suite_file() {
    let mut raised = BTreeSet::new();
    for path in files("tests/suite/check") {
        let (_, all) = findings(&path);
        raised.extend(all.iter().map(|d| d.code));
    }
    let missing: Vec<String> = CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| matches!(code.0, 200..800 | 901..1100) && !ELSEWHERE.contains(&code.0))
        .filter(|code| !raised.contains(code))
        .map(|code| code.to_string())
        .collect();
    assert!(
        missing.is_empty(),
        "no suite file raises {}",
        missing.join(", ")
    );
}

/// Codes that need more than a flow: given inputs, a test that is run.
const ELSEWHERE: [u16; 2] = [603, 1001];

/// Ten mistakes in one flow are ten findings, each under the wrong words and nothing else.
#[test]
fn ten_mistakes_are_ten_findings() {
    let (program, all) = findings(Path::new("tests/suite/check/ten_mistakes.r5flow"));
    let underlined: Vec<&str> = all.iter().map(|d| program.sources.slice(d.span)).collect();
    assert_eq!(
        underlined,
        [
            "colour",
            "(vm.name)",
            "selfLink",
            "healthyTreshold",
            "1500ms",
            "true",
            "probs",
            "\"UTILISATION\"",
            "\"Red5_Map\"",
            "https",
        ]
    );
}
