//! What a reader types runs. The `sh` blocks of a page are executed in their order, in one shell and one
//! folder that has nothing but `workflows`; `r5flow` is the built program.
//!
//! ```text
//! sh                    every command ends with 0
//! sh ends 6             the last one ends with this code, whatever the others do
//! sh beside             in a second terminal: it goes on while the rest runs
//! sh manual: REASON     no test runs it
//! ```
//!
//! `<!-- file NAME -->` above a block puts its text into the folder before the next command, and
//! `<!-- after COMMAND -->` does something before the block that the page takes for done. Below
//! `<!-- prints -->` stands what the commands just before have printed, in this order; `…` stands for
//! anything, an id for any id. `<!-- prints exactly -->`: and nothing else.

use std::fmt::Write;
use std::net::TcpListener;
use std::process::Command;

use crate::book::{assert_none, files, read};
use crate::harness::Folder;

/// A block of a page, with the line above it that says what it is for.
struct Block {
    page: String,
    line: usize,
    info: String,
    note: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let text = read(page.as_ref());
    let mut lines = text.lines().enumerate();
    let (mut found, mut note) = (Vec::new(), "");
    while let Some((at, line)) = lines.next() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        if ticks >= 3 {
            let (fence, info) = line.split_at(ticks);
            let inner = lines.by_ref().map(|(_, l)| l).take_while(|l| *l != fence);
            found.push(Block {
                page: page.to_owned(),
                line: at + 1,
                info: info.to_owned(),
                note: note.to_owned(),
                text: inner.map(|l| format!("{l}\n")).collect(),
            });
        }
        note = line;
    }
    found
}

/// How a block is run.
enum Way {
    All,
    Ends(i32),
    Beside,
    Manual(String),
}

impl Block {
    fn way(&self) -> Option<Way> {
        let rest = self.info.strip_prefix("sh")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        Some(match words.as_slice() {
            [] => Way::All,
            ["ends", code] => Way::Ends(code.parse().expect("a code")),
            ["beside"] => Way::Beside,
            ["manual:", reason @ ..] => Way::Manual(reason.join(" ")),
            _ => panic!("{}:{}: nobody knows `{}`", self.page, self.line, self.info),
        })
    }

    fn noted(&self, word: &str) -> Option<&str> {
        let inner = self.note.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        inner.strip_prefix(word).map(str::trim)
    }
}

/// What stands before the commands of every page.
const HEAD: &str = r#"
newest() { r5flow runs | grep -o '^[0-9a-f-]*' | head -1; }
beside() { soon "http://127.0.0.1:$PORT/_r5flow/state" quiet; }
soon() { for i in {1..600}; do curl -s "$1" | grep -q "$2" && return; sleep 0.05; done; return 1; }
trap 'code=$?; kill $(jobs -p) 2> /dev/null; exit $code' EXIT
"#;

/// A reader waits some seconds and copies ids; a test looks for what he waits for.
fn as_a_test_types_it(text: &str, port: u16) -> String {
    let asks = "soon http://127.0.0.1:8471/_r5flow/log images.insert;";
    let text = text.replace("sleep 8;", asks);
    let text = text.replace("sim --speed 10", "sim --listen 127.0.0.1:8471 --speed 20");
    let id = regex::Regex::new(r"\b(01a2[0-9a-f]{0,4}|RUN)\b").expect("a pattern");
    let text = id.replace_all(&text, "$$(newest)").into_owned();
    text.replace("8471", &port.to_string())
}

/// The page as one script. Each block's output goes to a file of its own.
fn script(page: &[Block], folder: &Folder, port: u16) -> String {
    let mut out = format!("PORT={port}\n{HEAD}");
    for (n, block) in page.iter().enumerate() {
        if let Some(name) = block.noted("file ") {
            folder.write(&format!(".file{n}"), &block.text);
            let _ = writeln!(out, "cp \"$TOP/.file{n}\" {name}");
        }
        let Some(way) = block.way() else {
            continue;
        };
        let text = as_a_test_types_it(&block.text, port);
        folder.write(&format!(".block{n}"), &text);
        if let Some(command) = block.noted("after ") {
            let _ = writeln!(out, "{{ {command}; }} > /dev/null 2>&1");
        }
        let said = format!("> \"$TOP/.out{n}\" 2>&1");
        let run = format!("echo {n} > \"$TOP/.at\"; source \"$TOP/.block{n}\" {said}");
        let _ = match way {
            Way::Manual(_) => Ok(()),
            Way::Beside => writeln!(out, "( exec {} {said} ) &\nbeside", text.trim_end()),
            Way::All => writeln!(out, "set -e; {run}; set +e"),
            Way::Ends(code) => writeln!(
                out,
                "{run}; code=$?\n[ $code = {code} ] || {{ echo \"ends with $code\"; exit 99; }}"
            ),
        };
    }
    out
}

/// A line without the id of its run, and without a time that the machine's clock measured.
fn lasting(line: &str) -> String {
    let change = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|  ~[0-9.]+s$";
    let change = regex::Regex::new(change).expect("a pattern");
    change.replace_all(line.trim_end(), "…").into_owned()
}

/// What a page shows of the output of the commands before it.
fn judge_prints(page: &[Block], folder: &Folder) -> Vec<String> {
    let mut wrong = Vec::new();
    for (n, block) in page.iter().enumerate() {
        if block.noted("prints").is_none() {
            continue;
        }
        let ran = page[..n].iter().rposition(|b| b.way().is_some());
        let said = folder.read(&format!(".out{}", ran.expect("commands above")));
        let said: Vec<String> = said.lines().map(lasting).collect();
        let lines = block.text.lines().count();
        if block.noted("prints") == Some("exactly") && said.len() != lines {
            let (page, at) = (&block.page, block.line);
            wrong.push(format!(
                "{page}:{at}: prints {} lines:\n{}",
                said.len(),
                said.join("\n")
            ));
        }
        let mut rest = said.iter();
        for line in block.text.lines().filter(|l| l.trim() != "…") {
            let line = lasting(line);
            if !line.is_empty() && !rest.any(|l| *l == line) {
                let (page, at) = (&block.page, block.line);
                wrong.push(format!(
                    "{page}:{at}: nothing prints {line:?}:\n{}",
                    said.join("\n")
                ));
                break;
            }
        }
    }
    wrong
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let there = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &there),
            false => {
                std::fs::copy(&path, &there).expect("a copy");
            }
        }
    }
}

fn run(page: &str) {
    let blocks = blocks(page);
    let folder = Folder::new(&[]);
    copy("workflows".as_ref(), &folder.path("workflows"));
    let bin = folder.path(".bin");
    std::fs::create_dir(&bin).expect("a folder");
    let program = env!("CARGO_BIN_EXE_r5flow");
    std::os::unix::fs::symlink(program, bin.join("r5flow")).expect("a link");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    folder.write(".script", &script(&blocks, &folder, port));
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .arg(folder.path(".script"))
        .current_dir(folder.path("."))
        .env_clear()
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("TOP", folder.path("."))
        .env("USER", "ana")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("bash");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let at: usize = folder.read(".at").trim().parse().expect("a number");
        panic!(
            "{page}:{}: {said}{errors}\n{}\n{}",
            blocks[at].line,
            folder.read(&format!(".block{at}")),
            folder.read(&format!(".out{at}"))
        );
    }
    assert_none(&judge_prints(&blocks, &folder));
}

/// A test for each page that has commands, so that they run side by side.
macro_rules! pages {
    ($($test:ident: $page:literal),* $(,)?) => {
        $(#[test] fn $test() { run($page); })*
        const RUN: &[&str] = &[$($page),*];
    };
}

pages! {
    the_tutorial: "docs/tutorial.md",
    the_red5_flows: "docs/red5/README.md",
    the_red5_tutorial: "docs/red5/tutorial.md",
    edit_and_resume: "docs/edit-and-resume.md",
    rollback: "docs/rollback.md",
    the_simulator: "docs/simulator.md",
}

/// Blocks that no test runs; each has a reason.
const MANUAL: usize = 17;

#[test]
fn every_page_with_commands_is_run() {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    let docs = files("docs", ".md");
    pages.extend(docs.iter().map(|p| p.display().to_string()));
    let (mut wrong, mut manual) = (Vec::new(), 0);
    for page in pages {
        for block in blocks(&page) {
            let place = format!("{page}:{}", block.line);
            match block.way() {
                Some(Way::Manual(reason)) if reason.is_empty() => {
                    wrong.push(format!("{place}: why does no test run it?"));
                }
                Some(Way::Manual(_)) => manual += 1,
                Some(_) if !RUN.contains(&&*page) => {
                    wrong.push(format!("{place}: nobody runs this page"));
                }
                _ => {}
            }
        }
    }
    assert_none(&wrong);
    assert_eq!(manual, MANUAL, "blocks that no test runs");
}

/// A piece of a flow that a page quotes stands in the file that it names.
#[test]
fn what_a_page_quotes_stands_in_its_file() {
    let mut wrong = Vec::new();
    let mut quotes = 0;
    for page in files("docs", ".md") {
        for block in blocks(&page.display().to_string()) {
            let Some(file) = block.noted("from ") else {
                continue;
            };
            quotes += 1;
            let flat =
                |text: &str| -> Vec<String> { text.lines().map(|l| l.trim().to_owned()).collect() };
            let (text, quote) = (flat(&read(file.as_ref())), flat(&block.text));
            if !text.windows(quote.len()).any(|w| w == quote) {
                wrong.push(format!("{}:{}: is not in {file}", block.page, block.line));
            }
        }
    }
    assert_none(&wrong);
    assert!(quotes > 10, "{quotes} quotes");
}
