//! The pages of `docs/errors/` are held to their examples: the wrong one raises the code, the right
//! one raises no error and not the code.

use std::collections::BTreeMap;

use r5flow::diag::{CODES, Code, Severity};
use r5flow::package::load;

use crate::book::judged;

/// The blocks of a page, each with whether it is the wrong one.
fn blocks(page: &str) -> Vec<(bool, String)> {
    page.split("```r5flow")
        .skip(1)
        .filter_map(|rest| rest.split_once('\n'))
        .map(|(head, rest)| {
            let text = rest.split("\n```").next().unwrap_or("");
            (head.contains("wrong"), format!("{text}\n"))
        })
        .collect()
}

/// An example is a whole file, or statements of a workflow.
fn whole(text: &str) -> String {
    if text.contains("workflow ") {
        return text.to_owned();
    }
    let at = "at { project: \"demo\", region: \"us-central1\" }";
    format!("workflow page {{\n{at}\n{text}\n}}\n")
}

fn found(text: &str) -> Vec<(Code, Severity, String)> {
    let files = BTreeMap::from([("page.r5flow".to_owned(), whole(text))]);
    let (program, mut all) = load("page.r5flow", &files).expect("it is there");
    all.extend(judged(&program));
    all.into_iter()
        .map(|d| (d.code, d.severity, d.message))
        .collect()
}

#[test]
fn every_page_of_the_checker_shows_what_it_says() {
    // What libraries raise needs one, and what a test that fails raises needs a run.
    let of_checker = |code: &Code| matches!(code.0, 200..800 | 901..1100) && code.0 != 1001;
    for (code, page) in CODES.iter().filter(|(c, _)| of_checker(c)) {
        let examples = blocks(page);
        assert!(
            code.0 == 603 || examples.len() >= 2,
            "{code} lacks examples"
        );
        for (wrong, text) in &examples {
            let got = found(text);
            let raised = got.iter().any(|(c, ..)| c == code);
            assert_eq!(raised, *wrong, "{code}: {got:?}\n{text}");
            let errors = got
                .iter()
                .any(|(c, s, _)| *s == Severity::Error && c != code);
            assert!(!errors, "{code}: {got:?}\n{text}");
        }
    }
}
