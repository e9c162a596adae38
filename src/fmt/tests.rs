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
