//! Files, inputs and words that make no sense: the right code, the right place, no panic.

use crate::harness::Folder;
use r5flow::spec::dice::Dice;

const FLOW: &str = "workflow w {
  input project: string
  input names: list<string> = [\"one\"]
  secret input token: string = \"none\"
  at { project }
  for name in names {
    step address = ensure compute.globalAddresses(name) {
      description: \"t ${token}\"
    }
  }
  output count = len(names)
}
";

const TWO: &str =
    "workflow one {\n  step a = wait 1s\n}\n\nworkflow other {\n  step b = wait 1s\n}\n";

fn plan<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["plan", "w.r5flow", "--sim"][..], more].concat()
}

#[test]
fn every_command_reads_a_file_by_the_same_rules() {
    let f = Folder::new(&[]);
    std::fs::write(f.path("latin1.r5flow"), b"workflow w {\n  // \xfc\n}\n").expect("a file");
    std::fs::write(f.path("long.r5flow"), vec![b' '; 5 << 20]).expect("a file");
    for command in ["check", "fmt", "plan", "graph", "doc"] {
        f.run(&[command, "latin1.r5flow"])
            .ends(64)
            .err_has("`latin1.r5flow` cannot be read: it is not text: the byte at offset 18");
        f.run(&[command, "long.r5flow"])
            .ends(64)
            .err_has("`long.r5flow` cannot be read: it is larger than 4 MiB");
    }
}

#[test]
fn a_hostile_name_does_not_steer_the_terminal() {
    let f = Folder::new(&[]);
    f.run(&["check", "a\u{1b}[31m.r5flow"])
        .ends(64)
        .err_has("`a\u{fffd}[31m.r5flow` cannot be read")
        .never_has("\u{1b}");
}

#[test]
fn a_state_directory_that_is_a_file_is_no_empty_one() {
    let f = Folder::new(&[("state", "")]);
    f.run(&["runs", "--state", "nowhere"])
        .ends(0)
        .out_has("no runs yet");
    f.run(&["runs", "--state", "state"])
        .ends(64)
        .err_has("there are no runs in `state`");
}

#[test]
fn files_that_are_no_flows() {
    let f = Folder::new(&[
        ("empty.r5flow", ""),
        ("comments.r5flow", "// nothing\n// here\n"),
        ("shell.r5flow", "# a comment of another language\n"),
        ("two.r5flow", TWO),
    ]);
    let bytes: Vec<u8> = (0..4096u32).map(|i| (i * 37 % 251) as u8).collect();
    std::fs::write(f.path("binary.r5flow"), bytes).expect("a file");
    std::fs::write(f.path("latin1.r5flow"), b"workflow w {\n  // \xfc\n}\n").expect("a file");
    std::fs::create_dir(f.path("folder.r5flow")).expect("a folder");
    f.run(&["check", "empty.r5flow", "comments.r5flow"])
        .ends(0)
        .out_has("2 files");
    f.run(&["check", "shell.r5flow"])
        .ends(3)
        .out_has("shell.r5flow:1:1")
        .out_has("comments begin with `//`");
    for (file, why) in [
        ("binary.r5flow", "is not UTF-8"),
        ("latin1.r5flow", "the byte at offset 18 is not UTF-8"),
        ("folder.r5flow", "Is a directory"),
        ("missing.r5flow", "No such file"),
        ("empty.r5flow", "`empty.r5flow` has no workflow"),
        ("comments.r5flow", "`comments.r5flow` has no workflow"),
        ("two.r5flow", "name one of `one`, `other`"),
    ] {
        for command in ["plan", "run"] {
            f.run(&[command, file, "--sim", "-y"])
                .ends(64)
                .err_has(file)
                .err_has(why);
        }
    }
    f.run(&["run", "two.r5flow", "third", "--sim", "-y"])
        .ends(64)
        .err_has("has no workflow `third`; it has `one`, `other`");
    f.run(&["run", "shell.r5flow", "--sim", "-y"])
        .ends(3)
        .err_has("shell.r5flow:1:1");
    assert!(!f.path(".r5flow").exists());
}

#[test]
fn texts_without_measure() {
    let f = Folder::new(&[]);
    let line = format!("workflow w {{ let a = \"{}\" }}", "x".repeat(10_000_000));
    f.write("long.r5flow", &line);
    f.run(&["check", "long.r5flow"])
        .ends(64)
        .err_has("`long.r5flow` cannot be read: it is larger than 4 MiB");
    f.run_with(&["check", "-"], &[], &line)
        .ends(64)
        .err_has("larger than 4 MiB");
    let n = 10_000;
    for (open, close) in [
        ("[", "]"),
        ("(", ")"),
        ("{ a: ", " }"),
        ("f(", ")"),
        ("\"${", "}\""),
        ("not ", ""),
        ("-", ""),
        ("1 + ", ""),
        ("a ?? ", ""),
        ("if true then ", ""),
    ] {
        let deep = format!("{}1{}", open.repeat(n), close.repeat(n));
        f.write(
            "deep.r5flow",
            &format!("workflow w {{\n  let a = {deep}\n}}\n"),
        );
        let said = f.run(&["check", "deep.r5flow"]).ends(3);
        assert!(said.out.contains("deep.r5flow:2:"), "{open}: {}", said.out);
    }
    for (open, close) in [("for x in [1] {\n", "}\n"), ("checkpoint a when [", "]\n")] {
        let deep = format!("{}{}", open.repeat(n), close.repeat(n));
        f.write("deep.r5flow", &format!("workflow w {{\n{deep}}}\n"));
        f.run(&["check", "deep.r5flow"])
            .ends(3)
            .out_has("deep.r5flow:");
    }
}

#[test]
fn input_files_that_cannot_be_used() {
    let secret = "cannot be shown";
    let f = Folder::new(&[
        ("w.r5flow", FLOW),
        ("bad.toml", "token = \"cannot be shown\nproject = \"p\"\n"),
        ("bad.json", "{\"token\": \"cannot be shown\", \"project\": "),
        ("bad.yaml", "token: cannot be shown\nproject: [a\nb: {"),
        (
            "twice.toml",
            "project = \"a\"\nproject = \"cannot be shown\"\n",
        ),
        ("twice.json", "{\"project\": \"a\", \"project\": \"b\"}"),
        ("twice.yaml", "project: a\nproject: b\n"),
        ("list.yaml", "- project\n"),
        ("w.ini", "project=1\n"),
    ]);
    f.write("deep.json", &"[".repeat(100_000));
    f.write("deep.yaml", &format!("a: {}", "[".repeat(100_000)));
    std::fs::write(f.path("bytes.toml"), b"\xff\xfe").expect("a file");
    std::fs::create_dir(f.path("folder.toml")).expect("a folder");
    for (file, why) in [
        ("bad.toml", "at line 1 column"),
        ("bad.json", "at line 1 column"),
        ("bad.yaml", "line 3"),
        ("twice.toml", "duplicate key at line 2 column 1"),
        ("twice.json", "`project` stands there twice"),
        ("twice.yaml", "`project` stands there twice"),
        ("list.yaml", "expected names with values"),
        ("w.ini", ".toml, .json, .yaml or .yml"),
        ("deep.json", "recursion limit"),
        ("deep.yaml", "recursion limit"),
        ("bytes.toml", "valid UTF-8"),
        ("folder.toml", "Is a directory"),
        ("nowhere.toml", "No such file"),
    ] {
        f.run(&plan(&["--inputs", file]))
            .ends(64)
            .err_has(&format!("the inputs in `{file}` cannot be used: "))
            .err_has(why)
            .never_has(secret);
    }
}

#[test]
fn inputs_that_are_wrong_are_told_all_at_once() {
    let wrong = "nmes = [\"a\"]\nnames = \"x\"\ntoken = 12345678\n";
    let f = Folder::new(&[("w.r5flow", FLOW), ("wrong.toml", wrong)]);
    f.run(&plan(&["--inputs", "wrong.toml"]))
        .ends(64)
        .err_has("4 inputs cannot be used")
        .err_has("has no input `nmes`")
        .err_has("did you mean `names`?")
        .err_has("the input `project` is missing")
        .err_has("`names` takes `list<string>`, and `x` is none (from wrong.toml); declared at w.r5flow:3:9")
        .err_has("`token` takes")
        .never_has("12345678");
    f.run(&plan(&["--input", "project=a", "--input", "project=b"]))
        .ends(64)
        .err_has("`--input project=…` stands there twice")
        .err_has("say each input once");
    f.run(&plan(&["--input", "=x"])).ends(64);
    f.run(&plan(&[
        "--input",
        "project=a",
        "--input",
        "token=hunter22",
    ]))
    .ends(64)
    .never_has("hunter22");
    assert!(!f.path(".r5flow").exists());
}

/// Cuts, doubles, swaps and overwrites pieces of a text.
fn mutated(text: &str, dice: &mut Dice) -> Vec<u8> {
    const PIECES: [&str; 16] = [
        "{",
        "}",
        "\"",
        "${",
        "\"\"\"",
        "(",
        ")",
        "\n",
        " = ",
        "workflow",
        "for",
        "..",
        "\u{0}",
        "é",
        "//",
        "9999999999999999999",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(40)).min(bytes.len());
        match dice.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            2 => {
                let piece = dice.pick(&PIECES);
                bytes.splice(at..at, piece.bytes());
            }
            3 => bytes.truncate(at),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = dice.below(256) as u8;
                }
            }
        }
    }
    bytes
}

const STYLE: r5flow::diag::render::Style = r5flow::diag::render::Style {
    color: false,
    width: 80,
};

/// What `r5flow check` does with a text, in process.
fn check(bytes: &[u8], catalog: &r5flow::catalog::Catalog) {
    let Ok(text) = String::from_utf8(bytes.to_vec()) else {
        return;
    };
    let files = std::collections::BTreeMap::from([("f.r5flow".to_owned(), text)]);
    let (program, findings) = r5flow::package::load("f.r5flow", &files).expect("a text");
    let (_checked, all) = r5flow::cli::session::checked(&program, findings, catalog);
    let shown = r5flow::diag::render::text(&program.sources, &all, STYLE);
    assert_eq!(shown.is_empty(), all.is_empty());
    let _ = r5flow::fmt::format(program.root().source.as_ref());
}

#[test]
fn whatever_a_file_holds_check_ends() {
    let red5 = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/workflows/red5/autoscale.r5flow"
    );
    let flow = std::fs::read_to_string(red5).expect("a shipped flow");
    let small: [&str; 3] = [
        FLOW,
        TWO,
        "hook h(n: int) -> int = \"\"\"rhai\n  n\n  \"\"\"\n",
    ];
    let catalog = r5flow::catalog::Catalog::embedded();
    let mut dice = Dice::new(0x5eed_0001);
    for round in 0..2000 {
        let bytes = match round % 20 {
            0 => mutated(&flow, &mut dice),
            1 => (0..dice.below(200))
                .map(|_| dice.below(256) as u8)
                .collect(),
            2 => (0..dice.below(200))
                .map(|_| 32 + dice.below(95) as u8)
                .collect(),
            _ => mutated(small[dice.below(small.len())], &mut dice),
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check(&bytes, &catalog);
        }));
        assert!(
            outcome.is_ok(),
            "round {round}: {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}
