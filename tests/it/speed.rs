//! Checking is linear in the number of steps.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use r5flow::catalog::Catalog;
use r5flow::check::check;
use r5flow::package::load;

fn flow(steps: usize) -> String {
    let mut text = String::from(
        "hook echo(a: string, b: string, c: string) -> string = \"\"\"rhai\n  a\n  \"\"\"\nworkflow big {\n  let s = \"x\"\n",
    );
    for n in 0..steps {
        let before = |d: usize| match n.checked_sub(d) {
            Some(n) => format!("s{n}"),
            None => "s".to_owned(),
        };
        let _ = writeln!(
            text,
            "  step s{n} = hook echo({}, {}, {})",
            before(1),
            before(2),
            before(3)
        );
    }
    text.push_str("}\n");
    text
}

fn check_time(steps: usize) -> Duration {
    let files = BTreeMap::from([("big.r5flow".to_owned(), flow(steps))]);
    let (program, findings) = load("big.r5flow", &files).expect("it is there");
    assert!(findings.is_empty());
    let catalog = Catalog::embedded();
    let start = Instant::now();
    let checked = check(&program, &catalog);
    let took = start.elapsed();
    assert!(checked.diagnostics.is_empty(), "{:?}", checked.diagnostics);
    took
}

/// The bound is generous: this is a build without optimisation, on machines that do other things.
#[test]
fn ten_thousand_steps_are_no_matter() {
    let took = check_time(10_000);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
