//! The docs are held to the program: their examples parse, are laid out canonically, and raise what
//! they say; their tables are made from the code. `R5FLOW_UPDATE=1 cargo test --test it docs` writes
//! the tables anew and lays the examples out.
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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::Folder;
use r5flow::catalog::Catalog;
use r5flow::check::check;
use r5flow::cli::hooks;
use r5flow::diag::{CODES, Code, Diagnostic, Severity};
use r5flow::fmt::format;
use r5flow::package::{Files, load};
use r5flow::source::{Source, SourceId};
use r5flow::types::functions::Function;

/// Files of every ending below a folder, or the file itself.
fn files(place: &str, ending: &str) -> Vec<PathBuf> {
    let path = Path::new(place);
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap_or_else(|e| panic!("{place}: {e}")) {
        let path = entry.expect("a readable entry").path();
        let name = path.to_str().expect("a path of text");
        if path.is_dir() {
            found.extend(files(name, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn pages() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("README.md")];
    all.extend(files("docs", ".md"));
    all
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

struct Block {
    place: String,
    /// The words behind `r5flow`.
    words: Vec<String>,
    text: String,
}

/// The `r5flow` blocks of a page. A fence ends with as many backticks as it began with.
fn blocks(path: &Path) -> Vec<Block> {
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

const ITEMS: [&str; 5] = ["use", "type", "let", "workflow", "hook"];

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

/// The page's text, and the files that examples lean on.
struct Shelf(String);

impl Files for Shelf {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let text = match path {
            "page.r5flow" => self.0.as_str(),
            "shared/naming.r5flow" => "let prefix = \"red5\"\n",
            "hooks/naming.rhai" => "\"sm-\" + build\n",
            _ => return Err("no such file".into()),
        };
        Ok(text.as_bytes().to_vec())
    }
}

fn findings(text: &str) -> Vec<Diagnostic> {
    let shelf = Shelf(text.to_owned());
    let (program, mut all) = load("page.r5flow", &shelf).expect("it is there");
    let catalog = Catalog::embedded();
    all.extend(r5flow::check::check_with(&program, &catalog, &hooks::syntax).diagnostics);
    all
}

fn listed(found: &[Diagnostic]) -> String {
    found
        .iter()
        .map(|d| format!("  {} {}\n", d.code, d.message))
        .collect()
}

fn updating() -> bool {
    std::env::var_os("R5FLOW_UPDATE").is_some()
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

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
            all.extend(check(&program, &Catalog::embedded()).diagnostics);
            if !all.is_empty() {
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

/// The text between `<!-- NAME -->` and `<!-- end -->` is made from the code.
fn generated(page: &str, name: &str, right: &str) {
    let path = Path::new(page);
    let text = read(path);
    let open = format!("<!-- {name} -->\n");
    let (before, rest) = text
        .split_once(&open)
        .unwrap_or_else(|| panic!("{page} lacks <!-- {name} -->"));
    let (found, after) = rest
        .split_once("<!-- end -->")
        .unwrap_or_else(|| panic!("{page} lacks <!-- end -->"));
    if found == right {
        return;
    }
    if updating() {
        let new = format!("{before}{open}{right}<!-- end -->{after}");
        std::fs::write(path, new).expect("a writable page");
        return;
    }
    panic!("the table `{name}` of {page} is out of date; it should be\n{right}");
}

#[test]
fn the_list_of_functions_is_complete() {
    let mut table = String::from("| function | gives |\n|---|---|\n");
    for function in Function::ALL {
        let summary = function.summary().replace('|', "\\|");
        let call = format!("{}({})", function.name(), function.params().join(", "));
        table.push_str(&format!("| `{call}` | {summary} |\n"));
    }
    generated("docs/language.md", "functions", &table);
}

/// How many methods of each class each service has.
#[test]
fn the_count_of_settle_classes_is_right() {
    use r5flow::catalog::SettleClass::{self, *};
    let classes: [(SettleClass, &str); 9] = [
        (Reads, "reads"),
        (IdAndOperation, "id and operation"),
        (NamedCreate, "named create"),
        (ConvergingWrite, "converging write"),
        (Delete, "delete"),
        (MatchedOperation, "matched operation"),
        (MarkedCreate, "marked create"),
        (OnceOnlyResult, "once-only result"),
        (Unsafe, "unsafe"),
    ];
    let catalog = Catalog::embedded();
    let mut total = [0; 9];
    let names: Vec<&str> = classes.iter().map(|(_, n)| *n).collect();
    let mut table = format!("| service | {} | methods |\n", names.join(" | "));
    table.push_str(&format!("|---|{}\n", "--:|".repeat(10)));
    for service in catalog.services() {
        let mut count = [0; 9];
        for id in catalog.methods(&service.name) {
            let method = catalog.method(&id).expect("listed");
            let at = classes.iter().position(|(c, _)| *c == method.settle);
            count[at.expect("every class is listed")] += 1;
        }
        for (sum, n) in total.iter_mut().zip(count) {
            *sum += n;
        }
        table.push_str(&row(&format!("`{}`", service.name), &count));
    }
    table.push_str(&row("all", &total));
    generated("docs/settle-classes.md", "counts", &table);
}

fn row(name: &str, count: &[usize; 9]) -> String {
    let cells: Vec<String> = count
        .iter()
        .map(|n| match n {
            0 => "·".to_owned(),
            n => n.to_string(),
        })
        .collect();
    let all: usize = count.iter().sum();
    format!("| {name} | {} | {all} |\n", cells.join(" | "))
}

/// A step of each kind, to which a clause can be added.
const KINDS: [(&str, &str); 9] = [
    ("read", "read compute.networks(\"n\")"),
    (
        "ensure",
        "ensure compute.networks(\"n\") { description: \"d\" }",
    ),
    ("call", "call compute.networks.delete(\"n\")"),
    ("wait", "wait compute.networks.get(\"n\")"),
    ("wait 5m", "wait 5m"),
    ("approve", "approve \"Go on?\""),
    ("http", "http GET \"https://example.com\""),
    ("run", "run part"),
    ("hook", "hook one()"),
];

const CLAUSES: [(&str, &str); 17] = [
    ("after", "after other"),
    ("when", "when 1 == 1"),
    ("require", "require 1 == 1"),
    ("unless", "unless 1 == 2"),
    ("until", "until 1 == 1"),
    ("fail when", "fail when 1 == 2"),
    ("every", "every 5s"),
    ("timeout", "timeout 5m"),
    ("retry", "retry 2"),
    ("on absent", "on absent stop"),
    ("on change", "on change stop"),
    ("on timeout", "on timeout continue"),
    ("on failure", "on failure continue"),
    ("on deny", "on deny continue"),
    ("expires", "expires 1d"),
    ("expect", "expect 1 == 1"),
    (
        "settle",
        "settle http GET \"https://example.com\" when 1 == 1",
    ),
];

/// `yes` and `(yes)` are taken by the checker, `·` is not.
#[test]
fn the_table_of_clauses_is_what_the_checker_takes() {
    let page = read(Path::new("docs/language.md"));
    let rows: BTreeMap<String, Vec<String>> = page
        .split_once("<!-- clauses -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- end -->"))
        .expect("the table of clauses")
        .0
        .lines()
        .skip(2)
        .map(|line| {
            let cells: Vec<String> = line
                .trim_matches('|')
                .split('|')
                .map(|c| c.trim().to_owned())
                .collect();
            (cells[0].trim_matches('`').to_owned(), cells[1..].to_vec())
        })
        .collect();
    assert_eq!(rows.len(), CLAUSES.len());
    for (name, clause) in CLAUSES {
        let cells = rows.get(name).unwrap_or_else(|| panic!("no row `{name}`"));
        for ((kind, action), cell) in KINDS.iter().zip(cells) {
            let taken = takes(action, clause);
            assert_eq!(
                taken,
                cell != "·",
                "`{name}` on `{kind}`: the page says `{cell}`"
            );
        }
    }
}

fn takes(action: &str, clause: &str) -> bool {
    let text = format!(
        "hook one() -> int = \"\"\"rhai\n  1\n  \"\"\"\nworkflow part {{\n  output a = 1\n}}\n\
         workflow page {{\n  at {{ project: \"demo\" }}\n  step other = wait 1s\n  step x = {action}\n    {clause}\n}}\n"
    );
    let found = findings(&text);
    let parses = found.iter().all(|d| d.code.0 >= 200);
    assert!(parses, "{}", listed(&found));
    !found
        .iter()
        .any(|d| d.code == Code::BAD_CLAUSE && d.message.contains("takes no"))
}

/// A test that a page leans on is a test that exists.
#[test]
fn tests_that_the_pages_name_exist() {
    let mut sources = String::new();
    for place in ["src", "tests"] {
        for path in files(place, ".rs") {
            sources.push_str(&read(&path));
        }
    }
    let mut wrong = Vec::new();
    for page in [
        "docs/architecture.md",
        "docs/testing.md",
        "docs/errors-of-the-cloud.md",
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

#[test]
fn every_class_of_the_clouds_errors_is_told() {
    use r5flow::wire::error::ErrorClass::{self, *};
    const ALL: [ErrorClass; 15] = [
        Transient,
        RateLimit,
        Quota,
        StockOut,
        Conflict,
        InUse,
        OperationInProgress,
        AlreadyExists,
        NotFound,
        Permission,
        ApiDisabled,
        Credentials,
        Invalid,
        Redirect,
        Unreadable,
    ];
    let page = read(Path::new("docs/errors-of-the-cloud.md"));
    let page = page.split("## How long").next().unwrap_or("");
    for class in ALL {
        let row = format!("| {} |", class.as_str());
        assert!(page.contains(&row), "no row for `{}`", class.as_str());
    }
    assert_eq!(
        page.matches("\n| ").count() - 1,
        ALL.len(),
        "rows of the table"
    );
}

/// The patience of a run, as its settings have it.
#[test]
fn the_times_of_a_run_are_right() {
    let s = r5flow::run::Settings::new(r5flow::run::Mode::Run);
    let rows = [
        ("one request, its answer included", s.patience),
        (
            "a server that gives no answer at all is tried for",
            s.silence_timeout,
        ),
        (
            "a refusal that may pass is taken for passing for",
            s.busy_timeout,
        ),
        ("a step without `timeout`", s.step_timeout),
        (
            "a request id is trusted to make a repetition a replay for",
            s.id_window,
        ),
        ("a guard counts when the request leaves within", s.guard_age),
    ];
    let mut table = String::from("| what | at most |\n|---|---|\n");
    for (what, span) in rows {
        table.push_str(&format!("| {what} | {span} |\n"));
    }
    generated("docs/errors-of-the-cloud.md", "times", &table);
}

/// The text of the blocks of a page that are fenced so.
fn fenced(page: &str, info: &str) -> Vec<String> {
    let text = read(Path::new(page));
    let open = format!("```{info}\n");
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(block, _)| format!("{block}\n"))
        .collect()
}

/// What the tutorial's reader types, and what he sees.
#[test]
fn the_tutorial_shows_what_the_program_prints() {
    let page = "docs/tutorial.md";
    let flow = &fenced(page, "r5flow")[0];
    let inputs = &fenced(page, "toml")[0];
    let shown = fenced(page, "text");
    let folder = Folder::new(&[("image.r5flow", flow), ("inputs.toml", inputs)]);
    let fine = folder.run(&["check", "image.r5flow"]).ends(0);
    assert_eq!(format!("{}{}", fine.out, fine.err), shown[0]);
    let planned = ["plan", "image.r5flow", "--inputs", "inputs.toml", "--sim"];
    assert_eq!(folder.run(&planned).ends(0).out.trim(), shown[2].trim());
    let mistaken = flow
        .replace("compute.addresses", "compute.adresses")
        .replace("family:", "famly:");
    folder.write("image.r5flow", &mistaken);
    let wrong = folder.run(&["check", "image.r5flow"]).ends(3);
    assert_eq!(format!("{}{}", wrong.out, wrong.err), shown[1]);
}

/// The picture of a run in the readme, line by line; ids and times of real clocks apart.
#[test]
fn the_readme_shows_a_real_run() {
    let state = Folder::new(&[]);
    let words = format!(
        "run workflows/red5/autoscale.r5flow --inputs workflows/red5/autoscale.example.toml --sim --yes --state {}",
        state.path("state").display()
    );
    assert!(read(Path::new("README.md")).contains(words.split(" --state").next().unwrap_or("")));
    let words: Vec<&str> = words.split(' ').collect();
    let output = state
        .command(&words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("a process");
    assert_eq!(output.status.code(), Some(0));
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8(said).expect("text");
    let said: Vec<String> = said.lines().map(without_id).collect();
    let picture = &fenced("README.md", "text")[0];
    let mut rest = said.iter();
    for line in picture.lines().filter(|l| l.trim() != "…") {
        let line = without_id(line);
        assert!(
            rest.any(|l| *l == line),
            "the run does not print {line:?} (in this order):\n{}",
            said.join("\n")
        );
    }
}

/// A line with the id of its run left out.
fn without_id(line: &str) -> String {
    match line.strip_prefix("run ").and_then(|l| l.split_once(' ')) {
        Some((_, rest)) => format!("run … {rest}"),
        None => line.to_owned(),
    }
}

/// Every command and option that `--help` tells is on the page, and every one of the page exists.
#[test]
fn the_page_of_the_command_line_is_complete() {
    let page = read(Path::new("docs/command-line.md"));
    let folder = Folder::new(&[]);
    let help = folder.run(&["--help"]).ends(0).out;
    let commands: BTreeSet<&str> = help
        .split_once("Commands:")
        .map_or("", |(_, rest)| rest)
        .lines()
        .skip(1)
        .take_while(|l| !l.trim().is_empty())
        .filter(|l| !l.starts_with("    "))
        .filter_map(|l| l.split_whitespace().next())
        .filter(|c| *c != "help")
        .collect();
    let told: BTreeSet<&str> = page
        .split("| `r5flow ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '`']).next())
        .collect();
    assert_eq!(commands, told, "commands of the program, and of the page");
    let mut options = BTreeSet::new();
    for command in ["plan", "run", "resume"] {
        let help = folder.run(&[command, "--help"]).ends(0).out;
        let words = help.split_whitespace();
        let long = words.filter_map(|w| w.strip_prefix("--"));
        options.extend(long.map(|w| w.split(['[', '=', '`']).next().unwrap_or(w).to_owned()));
    }
    let lacking: Vec<&String> = options
        .iter()
        .filter(|o| !["help", "version"].contains(&o.as_str()))
        .filter(|o| !page.contains(&format!("`--{o}")))
        .collect();
    assert!(lacking.is_empty(), "the page lacks {lacking:?}");
}

/// The scenario that the page shows is one, and its durations are those of the program.
#[test]
fn the_page_of_the_simulator_is_right() {
    use r5flow::sim::{Scenario, timing};
    let page = "docs/simulator.md";
    let example = Scenario::parse(&fenced(page, "toml")[0]).expect("a scenario");
    assert_eq!(
        timing::operation(&example, "compute.instances.stop").0,
        5_000
    );
    let built_in = Scenario::default();
    let text = read(Path::new(page));
    let table = text.split("## Durations").nth(1).expect("the durations");
    let mut rows = 0;
    for line in table.lines().filter(|l| l.contains("` |")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(name), Some(seconds)) = (cells.next(), cells.next()) else {
            continue;
        };
        let name = name.trim_matches('`');
        let Ok(seconds) = seconds.parse::<i64>() else {
            continue;
        };
        if name.contains('.') {
            rows += 1;
            assert_eq!(
                timing::operation(&built_in, name).0,
                seconds * 1000,
                "{name}"
            );
        }
    }
    assert_eq!(rows, 4);
}
