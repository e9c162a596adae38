use super::*;

fn source(text: &str) -> Source {
    Source::new(SourceId(0), "test.r5flow", text)
}

fn formatted(text: &str) -> String {
    match format(&source(text)) {
        Ok(out) => out,
        Err(FmtError::Broken(errors)) => panic!("{:?}\n{text}", errors[0]),
        Err(error) => panic!("{error}\n{text}\n---\n{}", printed(text)),
    }
}

fn printed(text: &str) -> String {
    let source = source(text);
    let parsed = syntax::parse(&source);
    printer::Printer::new(&source, &parsed.comments).file(&parsed.file)
}

#[test]
fn samples_keep_their_meaning_and_stay_as_they_are_the_second_time() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/syntax");
    for entry in std::fs::read_dir(dir).expect("samples") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|e| e == "r5flow") {
            let text = std::fs::read_to_string(&path).expect("text");
            let once = formatted(&text);
            assert_eq!(diff(&once, &formatted(&once), "second"), "");
        }
    }
}

#[test]
fn layout_does_not_depend_on_blanks_and_never_changes_the_meaning() {
    let text = include_str!("../../tests/suite/syntax/autoscale.r5flow");
    let want = formatted(text);
    let wide: String = text
        .lines()
        .map(|l| format!("\t{}  \r\n", l.replace(" = ", "   =  ")))
        .collect();
    let got = formatted(&wide.replace("\t#!", "#!"));
    assert_eq!(diff(&want, &got, "blanks"), "");
}

#[test]
fn containers_keep_the_choice_of_the_author() {
    let text = "let a = { b: 1,   c: [1,2] }\nlet d = {\n  b: 1, c: [\n 1,2] }\nlet e = []\n";
    let want = "let a = { b: 1, c: [1, 2] }\nlet d = {\n  b: 1\n  c: [\n    1,\n    2,\n  ]\n}\nlet e = []\n";
    assert_eq!(formatted(text), want);
}

#[test]
fn comments_stay_with_what_they_belong_to() {
    let text = "// top\n\n\n// a\nlet a = [ // open\n  1, // one\n  // two\n  2\n  // last\n]\nlet b = 1 + // odd\n  2\n// end\n";
    let want = "// top\n\n// a\nlet a = [ // open\n  1, // one\n  // two\n  2,\n  // last\n]\nlet b = 1 + // odd\n  2\n// end\n";
    assert_eq!(formatted(text), want);
}

#[test]
fn raw_strings_move_with_their_statement() {
    let text = "workflow w {\nlet a = \"\"\"bash\n        x\n\n          y\n        \"\"\"\n}\n";
    let want = "workflow w {\n  let a = \"\"\"bash\n    x\n\n      y\n    \"\"\"\n}\n";
    assert_eq!(formatted(text), want);
}

#[test]
fn one_line_steps_stay_on_one_line() {
    let text =
        "workflow w {\n  step a   = wait b    timeout 3m\n  step c = wait b\n  timeout 3m\n}\n";
    let want = "workflow w {\n  step a = wait b timeout 3m\n  step c = wait b\n    timeout 3m\n}\n";
    assert_eq!(formatted(text), want);
}

#[test]
fn a_file_with_mistakes_is_refused() {
    assert!(
        matches!(format(&source("let a = ")), Err(FmtError::Broken(errors)) if errors.len() == 1)
    );
}

#[test]
fn differences_in_the_unified_form() {
    assert_eq!(diff("a\n", "a\n", "f"), "");
    assert_eq!(
        diff("a\nb\nc\n", "a\nx\nc", "f"),
        "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n-c\n+x\n+c\n\\ No newline at end of file\n"
    );
}

/// Blanks become newlines, more blanks or comments: what still parses must keep its meaning, and be
/// laid out the same when it is laid out again.
#[test]
fn random_blanks_neither_change_the_meaning_nor_the_second_layout() {
    let samples = [
        include_str!("../../tests/suite/syntax/day_two.r5flow"),
        include_str!("../../tests/suite/syntax/database.r5flow"),
        include_str!("../../tests/suite/syntax/stream_manager.r5flow"),
        "let a = [1, { b: 2, c: f(x, y: [3]) }, if p then q else { r: 1 }] // t\nlet d = a.b[c] + (e - f) * 2\n",
    ];
    let mut state = 0x5eed_u64;
    let mut below = |most: usize| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % most
    };
    let mut good = 0;
    for round in 0..crate::world::cases(600) {
        let mut text = samples[round % samples.len()].to_string();
        for _ in 0..1 + below(4) {
            let blanks: Vec<usize> = text.match_indices(' ').map(|(n, _)| n).collect();
            let at = blanks[below(blanks.len())];
            text.replace_range(
                at..at + 1,
                ["\n", "   ", "\n\n\n", " // c\n", "\n// d\n"][below(5)],
            );
        }
        if syntax::parse(&source(&text)).diagnostics.is_empty() {
            good += 1;
            let once = formatted(&text);
            let again = diff(&once, &formatted(&once), "second");
            assert!(again.is_empty(), "{text}\n---\n{again}");
        }
    }
    assert!(good > 200, "only {good} texts parsed");
}
