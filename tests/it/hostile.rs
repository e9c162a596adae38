//! No text makes the checker panic, whatever is missing in it.

use std::collections::BTreeMap;

use r5flow::catalog::Catalog;
use r5flow::check::check;
use r5flow::package::load;

const AUTOSCALE: &str = include_str!("../../workflows/red5/autoscale.r5flow");
const STEPS: &str = include_str!("../suite/check/steps.r5flow");
const TYPES: &str = include_str!("../suite/check/types.r5flow");
const CATALOGUE: &str = include_str!("../suite/check/catalogue.r5flow");

fn look(text: &str) -> usize {
    let files = BTreeMap::from([("main.r5flow".to_owned(), text.to_owned())]);
    let (program, findings) = load("main.r5flow", &files).expect("it is there");
    findings.len() + check(&program, &Catalog::embedded()).diagnostics.len()
}

#[test]
fn cut_texts_are_checked_as_far_as_they_go() {
    for text in [AUTOSCALE, STEPS, TYPES, CATALOGUE] {
        for n in 1..12 {
            let mut cut = text.len() * n / 12;
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            look(&text[..cut]);
            look(&text[cut..]);
        }
    }
}

#[test]
fn texts_without_one_of_their_lines_are_checked() {
    for text in [AUTOSCALE, STEPS] {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for skip in (0..lines.len()).step_by(7) {
            let rest: String = lines
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != skip)
                .map(|(_, line)| *line)
                .collect();
            look(&rest);
        }
    }
}

/// On a stack as large as that of a main thread.
#[test]
fn deep_expressions_and_long_chains_end() {
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    let done = thread.spawn(deep_and_long).expect("a thread").join();
    assert!(done.is_ok());
}

fn deep_and_long() {
    let deep =
        |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    for n in [50, 200, 250] {
        look(&format!(
            "workflow w {{\n let x = {}\n}}",
            deep("[", "]", n)
        ));
        look(&format!(
            "workflow w {{\n let x = {}\n}}",
            deep("(", ")", n)
        ));
        look(&format!(
            "workflow w {{\n let x = {}\n}}",
            deep("{ a: ", " }", n)
        ));
        look(&format!(
            "workflow w {{\n let x = {}\n}}",
            deep("if true then 1 else (", ")", n)
        ));
    }
    let mut chain = String::from("workflow w {\n");
    for n in 0..500 {
        let next = format!("x{}", n + 1);
        chain.push_str(&format!(
            " let x{n} = {}{next}{}\n",
            "[".repeat(60),
            "]".repeat(60)
        ));
    }
    chain.push_str(" let x500 = 1\n}\n");
    look(&chain);
    let mut types = String::new();
    for n in 0..60 {
        types.push_str(&format!("type T{n} = {{ a: T{0}, b: T{0} }}\n", n + 1));
    }
    types.push_str("type T60 = int\nworkflow w {\n input x: T0\n let y = x.a.a.b\n}\n");
    look(&types);
}
