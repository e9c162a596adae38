//! The docs are held to the program: their examples parse, are laid out canonically, and raise what
//! they say; `R5FLOW_UPDATE=1 cargo test --test it docs` lays them out.
//!
//! A block that is fenced with
//!
//! ```text
//! r5flow                raises no finding, and is laid out as `r5flow fmt` would
//! r5flow fragment       parses and is laid out so; names of its surroundings are missing
//! r5flow wrong [CODE]   raises this code (in `docs/errors/`: the page's) and no other error
//! ```
//!
//! A block that does not begin with an item of a file holds statements of a workflow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use r5flow::diag::{CODES, Code, Diagnostic, Severity};
use r5flow::fmt::format;
use r5flow::package::load;
use r5flow::source::{Source, SourceId};

use crate::book::{assert_none, files, findings, judged, listed, pages, read, updating};

pub struct Block {
    place: String,
    /// The words behind `r5flow`.
    pub words: Vec<String>,
    pub text: String,
}

/// The `r5flow` blocks of a page. A fence ends with as many backticks as it began with.
pub fn blocks(path: &Path) -> Vec<Block> {
    let page = read(path);
    let mut lines = page.lines().enumerate();
    let mut found = Vec::new();
    while let Some((at, line)) = lines.next() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        if ticks < 3 {
            continue;
        }
        let (fence, info) = line.split_at(ticks);
        let text: String = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != fence)
            .map(|line| format!("{line}\n"))
            .collect();
        let mut words = info.split_whitespace().map(str::to_owned);
        if words.next().as_deref() == Some("r5flow") {
            found.push(Block {
                place: format!("{}:{}", path.display(), at + 2),
                words: words.collect(),
                text,
            });
        }
    }
    found
}

const ITEMS: [&str; 6] = ["use", "type", "let", "workflow", "hook", "policy"];

/// A whole file: statements get a workflow around them.
fn whole(text: &str) -> String {
    let first = text
        .lines()
        .find(|l| !l.trim().is_empty() && !l.starts_with("//"));
    let first = first.unwrap_or("");
    let word = first.split_whitespace().next().unwrap_or("");
    let items = text.contains("workflow ") || (ITEMS.contains(&word) && word != "let");
    if items {
        return text.to_owned();
    }
    let inner: String = text
        .lines()
        .map(|l| match l.is_empty() {
            true => "\n".to_owned(),
            false => format!("  {l}\n"),
        })
        .collect();
    let at = "  at { project: \"demo\", region: \"us-central1\", zone: \"us-central1-a\" }\n";
    format!("workflow page {{\n{at}\n{inner}}}\n")
}

/// Calls `write` with the canonical text when there is another one, and tables are written anew.
fn layout(name: &str, text: &str, write: impl FnOnce(&str)) -> Result<(), String> {
    let source = Source::new(SourceId(0), name, text);
    match format(&source) {
        Ok(right) if right == text => Ok(()),
        Ok(right) if updating() => {
            write(&right);
            Ok(())
        }
        Ok(right) => Err(format!("{name}: is laid out as\n{right}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// What stands between the words that [`whole`] puts around statements.
fn bare(whole: &str) -> String {
    let lines: Vec<&str> = whole.lines().collect();
    match lines.as_slice() {
        ["workflow page {", _, _, inner @ .., "}"] => inner
            .iter()
            .map(|l| format!("{}\n", l.strip_prefix("  ").unwrap_or(l)))
            .collect(),
        _ => whole.to_owned(),
    }
}

fn lay_out(block: &Block, text: &str) -> Result<(), String> {
    layout(&block.place, text, |right| {
        let page = block.place.rsplit_once(':').map_or("", |(page, _)| page);
        let old = read(Path::new(page));
        let new = old.replacen(&block.text, &bare(right), 1);
        std::fs::write(page, new).expect("a writable page");
    })
}

/// Nobody in an example uses what it declares.
fn of_no_matter(found: &Diagnostic) -> bool {
    [Code::UNUSED_INPUT, Code::UNUSED_LET, Code::UNUSED_IMPORT].contains(&found.code)
}

fn judge(block: &Block, page_code: Option<Code>) -> Result<(), String> {
    let text = whole(&block.text);
    let words: Vec<&str> = block.words.iter().map(String::as_str).collect();
    let mut found = findings(&text);
    let place = &block.place;
    match words.as_slice() {
        [] => {
            found.retain(|d| !of_no_matter(d));
            if !found.is_empty() {
                return Err(format!("{place}: raises\n{}", listed(&found)));
            }
            lay_out(block, &text)
        }
        ["fragment"] => {
            found.retain(|d| d.code.0 < 200);
            if !found.is_empty() {
                return Err(format!("{place}: does not parse\n{}", listed(&found)));
            }
            lay_out(block, &text)
        }
        ["wrong", rest @ ..] => {
            let code = rest.first().and_then(|c| c.parse().ok()).or(page_code);
            let Some(code) = code else {
                return Err(format!("{place}: which code does it raise?"));
            };
            let raised = found.iter().any(|d| d.code == code);
            let other = found
                .iter()
                .any(|d| d.severity == Severity::Error && d.code != code);
            match raised && !other {
                true => Ok(()),
                false => Err(format!("{place}: wants {code}, raises\n{}", listed(&found))),
            }
        }
        other => Err(format!(
            "{place}: nobody knows `r5flow {}`",
            other.join(" ")
        )),
    }
}

fn page_code(path: &Path) -> Option<Code> {
    let name = path.file_stem()?.to_str()?;
    let digits = name.strip_prefix('R')?;
    digits.parse().ok()
}

#[test]
fn every_example_of_the_docs_is_as_it_says() {
    let wrong: Vec<String> = pages()
        .iter()
        .flat_map(|path| blocks(path).into_iter().map(|b| (page_code(path), b)))
        .filter_map(|(code, block)| judge(&block, code).err())
        .collect();
    assert_none(&wrong);
}

#[test]
fn shipped_flows_are_clean_and_laid_out() {
    let mut wrong = Vec::new();
    for place in ["workflows", "stdlib"] {
        for path in files(place, ".r5flow") {
            let name = path.to_str().expect("a path of text");
            let write = |right: &str| std::fs::write(&path, right).expect("a writable file");
            wrong.extend(layout(name, &read(&path), write).err());
            let (program, mut all) = load(name, &r5flow::package::Disk).expect("readable");
            all.extend(judged(&program));
            // The manual with its mistakes.
            if !all.is_empty() && !name.ends_with("as-written.r5flow") {
                wrong.push(format!("{name}: raises\n{}", listed(&all)));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_code_has_a_page_that_begins_with_it() {
    for (code, page) in CODES {
        let first = page.lines().next().unwrap_or("");
        let wanted = format!("# {code}: ");
        assert!(
            first.starts_with(&wanted) && first.len() > wanted.len() + 3,
            "{code} begins with `{first}`"
        );
    }
    let known: BTreeSet<String> = CODES.iter().map(|(c, _)| format!("{c}.md")).collect();
    let there: BTreeSet<String> = files("docs/errors", ".md")
        .iter()
        .filter_map(|p| Some(p.file_name()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(known, there, "pages and codes");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for path in pages().iter().chain(&[
        PathBuf::from("CONTRIBUTING.md"),
        PathBuf::from("CHANGELOG.md"),
    ]) {
        let text = read(path);
        for rest in text.split("](").skip(1) {
            let Some((link, _)) = rest.split_once(')') else {
                continue;
            };
            let file = link.split('#').next().unwrap_or("");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let folder = path.parent().unwrap_or(Path::new(""));
            if !folder.join(file).exists() {
                wrong.push(format!("{}: {link} does not exist", path.display()));
            }
        }
    }
    assert_none(&wrong);
}

fn sources() -> String {
    let paths = ["src", "tests"].map(|place| files(place, ".rs"));
    paths.iter().flatten().map(|path| read(path)).collect()
}

/// Each hazard has its number, and tests that exist.
#[test]
fn every_hazard_has_a_test() {
    let (sources, page) = (sources(), "docs/hazards.md");
    let (mut numbers, mut wrong) = (Vec::new(), Vec::new());
    for line in read(Path::new(page)).lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let number = cells[0].trim_start_matches("| ").parse::<u32>();
        let (Ok(number), Some(tests)) = (number, cells.get(3)) else {
            continue;
        };
        numbers.push(number);
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push(format!("{page}: row {number} names no test"));
        }
        for name in names {
            if !sources.contains(&format!("fn {name}()")) {
                wrong.push(format!("{page}: row {number}: there is no test `{name}`"));
            }
        }
    }
    assert_none(&wrong);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=51).collect::<Vec<u32>>());
}

/// A test that a page leans on is a test that exists.
#[test]
fn tests_that_the_pages_name_exist() {
    let sources = sources();
    let mut wrong = Vec::new();
    for page in [
        "docs/architecture.md",
        "docs/testing.md",
        "docs/errors-of-the-cloud.md",
        "docs/red5/README.md",
    ] {
        let text = read(Path::new(page));
        for name in text.split('`').skip(1).step_by(2) {
            let Some(name) = name.strip_prefix("test ") else {
                continue;
            };
            if !sources.contains(&format!("fn {name}()")) {
                wrong.push(format!("{page}: there is no test `{name}`"));
            }
        }
    }
    assert_none(&wrong);
}
