use super::*;
use crate::source::SourceId;

fn parsed(text: &str) -> Parsed {
    parse(&Source::new(SourceId(0), "test.r5flow", text))
}

fn samples() -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/syntax");
    let mut out: Vec<_> = std::fs::read_dir(dir)
        .expect("samples")
        .map(|e| e.expect("entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "r5flow"))
        .map(|p| {
            (
                p.display().to_string(),
                std::fs::read_to_string(&p).expect("text"),
            )
        })
        .collect();
    out.sort();
    assert!(out.len() >= 6);
    out
}

#[test]
fn samples_parse_without_a_word() {
    for (name, text) in samples() {
        let got = parsed(&text);
        let said: Vec<_> = got
            .diagnostics
            .iter()
            .map(|d| (&text[..d.span.start as usize], d))
            .map(|(b, d)| (b.lines().count(), &d.message))
            .collect();
        assert!(said.is_empty(), "{name}: {said:?}");
        assert!(!got.file.items.is_empty());
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

fn at(text: &str) -> Vec<(usize, String)> {
    let source = Source::new(SourceId(0), "test.r5flow", text);
    parse(&source)
        .diagnostics
        .iter()
        .map(|d| (source.line_column(d.span.start).0, d.code.to_string()))
        .collect()
}

fn one(text: &str) -> Diagnostic {
    let mut got = parsed(text).diagnostics;
    assert_eq!(got.len(), 1, "{got:?}");
    got.remove(0)
}

#[test]
fn each_mistake_is_found_once_and_nothing_else() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/suite/syntax/mistakes.bad"
    ))
    .expect("text");
    let lines: Vec<_> = at(&text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(
        lines,
        [
            6, 11, 15, 16, 17, 23, 26, 28, 31, 33, 35, 39, 42, 43, 44, 45, 48, 50, 52, 56
        ]
    );
}

#[test]
fn broken_statements_keep_their_names_and_their_siblings() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/suite/syntax/mistakes.bad"
    ))
    .expect("text");
    let file = parsed(&text).file;
    let Some(ast::Item::Workflow(workflow)) = file.items.get(1) else {
        panic!("{file:?}")
    };
    let mut broken = Vec::new();
    let mut steps = Vec::new();
    for stmt in &workflow.body.stmts {
        match stmt {
            ast::Stmt::Broken(b) => broken.extend(b.name.as_ref().map(|n| n.text.to_string())),
            ast::Stmt::Step(s) => steps.push(s.name.text.to_string()),
            _ => {}
        }
    }
    assert_eq!(steps, ["good_one"]);
    for name in [
        "groups", "size", "vm", "disk", "image", "template", "one", "choice", "text", "result",
        "done",
    ] {
        assert!(
            broken.iter().any(|n| n == name),
            "{name} is not in {broken:?}"
        );
    }
}

#[test]
fn a_mistake_in_a_test_costs_its_line() {
    let text = "test \"one\" {
  run rest { length: 5m as r
  expekt r.status == \"done\"
  step x = wait 5m
  expect r.status == \"done\"
}

test \"two\" {
  expect 1 == 1
}
";
    let found: Vec<usize> = at(text).iter().map(|(line, _)| *line).collect();
    assert_eq!(found, [2, 3, 4]);
    let said = parsed(text).diagnostics;
    assert_eq!(said[1].help.as_deref(), Some("did you mean `expect`?"));
    let items = parsed(text).file.items;
    let [ast::Item::Test(one), ast::Item::Test(two)] = &items[..] else {
        panic!("{items:#?}");
    };
    assert_eq!((one.stmts.len(), two.stmts.len()), (4, 1));
    let ast::TestStmt::Broken(run) = &one.stmts[0] else {
        panic!("{one:#?}");
    };
    assert_eq!(run.name.as_ref().map(|n| &*n.text), Some("r"));
}

#[test]
fn hints_name_what_was_meant() {
    let body = |line: &str| format!("workflow w {{\n  {line}\n}}\n");
    for (line, hint) in [
        ("step a = wait b untill it.ok", "`until`"),
        ("steep a = wait b", "`step`"),
        ("let a = b = c", "`==`"),
        ("let a = b && c", "`and`"),
        ("let a = b || c", "`or`"),
        ("let a = !b", "`not`"),
        ("let a = 1;", "remove it"),
        ("let a = 'x'", "double quotes"),
        ("let a = 1\n  - 2", "never continues"),
        ("step a = wait b on timeout wait", "`"),
        ("let a = if b then 1 els 2", "`else`"),
        ("let in = 3", "choose another name"),
        ("let a = 10min", "`10m`"),
        ("let a = 16GB", "`16GiB`"),
        (r#"let a = "\d""#, r"`\\d`"),
        ("let a = (1 + 2", "`)`"),
    ] {
        let text = body(line);
        let got = one(&text);
        let said = format!("{} {}", got.message, got.help.unwrap_or_default());
        assert!(said.contains(hint), "{line}: {said}");
    }
}

#[test]
fn codes_of_what_is_no_plain_syntax_error() {
    for (text, code) in [
        ("let a = \"x", "R0102"),
        ("let a = \"${x\"", "R0102"),
        ("let a = \"\"\"\n  x\n", "R0102"),
        ("let a = [1", "R0102"),
        ("let a = 5 min\nlet b = 5min", "R0103"),
        ("let a = 99999999999999999999", "R0105"),
        ("let a = 999999999999999d", "R0105"),
        ("let a = 1e999", "R0105"),
        ("let a = \0", "R0106"),
        ("let a = 1)", "R0107"),
        ("}", "R0107"),
        ("let a = \"\\q\"", "R0108"),
        ("let a = \"\"\"\nx\n  \"\"\"", "R0109"),
    ] {
        let got = at(text);
        assert!(got.iter().any(|(_, c)| c == code), "{text:?}: {got:?}");
    }
}

#[test]
fn one_missing_bracket_costs_one_error() {
    let got = at(
        "workflow a {\n  for x in xs {\n    step s = wait x\n  let b = 1\n}\nworkflow c {\n  let d = 2\n}\n",
    );
    assert_eq!(got, [(2, "R0102".to_string())]);
}

#[test]
fn values_of_literals() {
    let file = parsed("let a = 1_000\nlet b = 1h30m\nlet c = 2KiB\nlet d = 12.5%\nlet e = -2 + 3 * 4\nlet f = not a == b and c").file;
    let kinds: Vec<_> = file
        .items
        .iter()
        .map(|i| match i {
            ast::Item::Let(l) => &*l.value.kind,
            other => panic!("{other:?}"),
        })
        .collect();
    use ast::{BinaryOp, ExprKind::*};
    assert!(matches!(kinds[0], Int(1000)));
    assert!(matches!(kinds[1], Duration(5_400_000)));
    assert!(matches!(kinds[2], Size(2048)));
    assert!(matches!(kinds[3], Percent(p) if *p == 12.5));
    assert!(
        matches!(kinds[4], Binary { op: BinaryOp::Add, right, .. } if matches!(&*right.kind, Binary { op: BinaryOp::Mul, .. }))
    );
    assert!(
        matches!(kinds[5], Binary { op: BinaryOp::And, left, .. } if matches!(&*left.kind, Not(_)))
    );
}

#[test]
fn raw_strings_lose_the_margin_of_their_last_line() {
    let file =
        parsed("let a = \"\"\"bash\r\n    one\r\n\r\n      \"two\" ${x}\r\n    \"\"\"\r\n").file;
    let [ast::Item::Let(item)] = &file.items[..] else {
        panic!()
    };
    let ast::ExprKind::Raw { tag, text } = &*item.value.kind else {
        panic!("{:?}", item.value)
    };
    assert_eq!((&**tag, &**text), ("bash", "one\n\n  \"two\" ${x}\n"));
}

#[test]
fn documentation_stands_above_or_behind() {
    let file = parsed(
        "/// One.\n/// Two.\nworkflow w {\n  input a: string /// First.\n  input b: string\n}\n",
    )
    .file;
    let [ast::Item::Workflow(w)] = &file.items[..] else {
        panic!()
    };
    assert_eq!(w.doc.as_deref(), Some("One.\nTwo."));
    let docs: Vec<_> = w
        .body
        .stmts
        .iter()
        .map(|s| match s {
            ast::Stmt::Input(i) => i.doc.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(docs, [Some("First."), None]);
}

#[test]
fn spans_end_with_the_last_token() {
    let text = "\u{feff}workflow w {\n  step a = wait b // why\n    until it.x   // there\n}\n";
    let source = Source::new(SourceId(0), "t", text);
    let file = parse(&source).file;
    let [ast::Item::Workflow(w)] = &file.items[..] else {
        panic!()
    };
    let [ast::Stmt::Step(s)] = &w.body.stmts[..] else {
        panic!()
    };
    assert_eq!(
        source.slice(s.span),
        "step a = wait b // why\n    until it.x"
    );
    assert_eq!(source.slice(s.action.span), "wait b");
}

#[test]
fn words_of_clauses_and_statements_are_disjoint() {
    for clause in words::CLAUSES {
        assert!(
            !words::STATEMENTS.contains(clause) && !words::ITEMS.contains(clause),
            "{clause}"
        );
    }
}

#[test]
fn depth_is_bounded() {
    for text in [
        format!("let a = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("let a = {}1", "not ".repeat(100_000)),
        format!("let a = 1{}", " + 1".repeat(100_000)),
        format!("let a = b{}", ".c".repeat(100_000)),
        format!("let a = {}1", "if b then 1 else ".repeat(50_000)),
        format!(
            "type T = {}int{}",
            "list<".repeat(20_000),
            ">".repeat(20_000)
        ),
        format!("let a = {}x{}", "\"${".repeat(20_000), "}\"".repeat(20_000)),
    ] {
        let got = parsed(&text);
        assert!(
            got.diagnostics.iter().any(|d| d.code == Code::NESTING),
            "{}",
            &text[..40]
        );
    }
    assert!(
        parsed(&format!("let a = {}{}", "[".repeat(200), "]".repeat(200)))
            .diagnostics
            .is_empty()
    );
}

#[test]
fn every_beginning_of_a_sample_parses() {
    for (_, text) in samples() {
        let step = if cfg!(debug_assertions) { 101 } else { 1 };
        for end in (0..text.len())
            .step_by(step)
            .filter(|n| text.is_char_boundary(*n))
        {
            let got = parsed(&text[..end]);
            assert!(got.diagnostics.len() < 8, "{end}: {:?}", got.diagnostics);
        }
    }
}

#[test]
fn nothing_panics_on_random_changes() {
    let mut dice = Dice(0x5eed);
    let samples = samples();
    const BITS: [&str; 16] = [
        "{", "}", "(", ")", "[", "]", "\"", "\"\"\"", "\n", "//", "${", "step", "=", "-", " else ",
        "é",
    ];
    let usual = if cfg!(debug_assertions) { 300 } else { 5000 };
    for _ in 0..crate::world::cases(usual) {
        let (_, text) = &samples[dice.below(samples.len())];
        let mut text = text.clone();
        for _ in 0..1 + dice.below(3) {
            let mut from = dice.below(text.len());
            while !text.is_char_boundary(from) {
                from -= 1;
            }
            let mut to = (from + dice.below(6)).min(text.len());
            while !text.is_char_boundary(to) {
                to += 1;
            }
            text.replace_range(from..to, BITS[dice.below(BITS.len())]);
        }
        let source = Source::new(SourceId(0), "test.r5flow", text.as_str());
        if parse(&source).diagnostics.is_empty()
            && let Err(error) = crate::fmt::format(&source)
        {
            panic!("{error}\n{text}");
        }
    }
}

#[test]
fn a_single_long_line_parses() {
    let text = format!("let a = [{}]\n", "\"s\", ".repeat(100_000));
    let got = parsed(&text);
    assert!(got.diagnostics.is_empty());
    let broken = parsed(&format!("let a = \"{}\" x", "y".repeat(10_000_000)));
    assert_eq!(broken.diagnostics.len(), 1);
    assert!(broken.diagnostics[0].message.len() < 500);
}

/// The blocks of a page in `docs/errors/`, each with whether it is the wrong one.
fn blocks(page: &str) -> Vec<(bool, String)> {
    page.split("```r5flow")
        .skip(1)
        .filter_map(|rest| rest.split_once('\n'))
        .map(|(head, rest)| {
            (
                head.contains("wrong"),
                rest.split("```").next().unwrap_or("").to_string(),
            )
        })
        .collect()
}

#[test]
fn pages_of_text_errors_show_what_they_say() {
    for (code, page) in crate::diag::CODES
        .iter()
        .filter(|(code, _)| (101..=109).contains(&code.0))
    {
        for (wrong, text) in blocks(page)
            .iter()
            .filter(|(_, text)| !text.contains("\"\"\"` and"))
        {
            let got = at(text);
            assert_eq!(
                got.iter().any(|(_, c)| *c == code.to_string()),
                *wrong,
                "{code}: {got:?}\n{text}"
            );
            assert!(*wrong || got.is_empty(), "{code}: {got:?}\n{text}");
        }
    }
}
