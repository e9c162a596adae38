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
