//! A flow, the simulated cloud and the real core, put together in process.

use std::collections::BTreeMap;
use std::sync::Arc;

use r5flow::catalog::Catalog;
use r5flow::check::{self, Checked, Given};
use r5flow::diag::Severity;
use r5flow::package::{self, Program};
use r5flow::run::{Mode, Settings};
use r5flow::sim::{Scenario, Sim};
use r5flow::spec::{self, How, Left, Line, Played, Player};
use r5flow::world::{Millis, Timestamp};
use serde_json::Value as Json;

pub const START: Timestamp = Timestamp(1_795_000_000_000);

/// Parses a flow; it must have nothing wrong.
pub fn program(text: &str) -> Program {
    let files: BTreeMap<String, String> = [("flow.r5flow".to_owned(), text.to_owned())].into();
    let (program, findings) = package::load("flow.r5flow", &files).expect("a readable flow");
    assert!(findings.is_empty(), "{findings:#?}\n{text}");
    program
}

/// Checks a program; gives the errors besides.
pub fn examined(program: &Program) -> (Checked<'_>, Vec<String>) {
    let checked = check::check_with(program, &Catalog::embedded(), &r5flow::cli::hooks::syntax);
    let found = checked.diagnostics.iter();
    let errors = found
        .filter(|d| d.severity == Severity::Error)
        .map(|d| {
            let place = program.sources.place(d.span);
            format!("{place}: {} {}", d.code, d.message)
        })
        .collect();
    (checked, errors)
}

/// Checks a program; it must have no errors.
pub fn checked(program: &Program) -> Checked<'_> {
    let (checked, errors) = examined(program);
    let text = &program.root().source.text;
    assert!(errors.is_empty(), "{}\n{text}", errors.join("\n"));
    checked
}

/// The workflow named `main`, or the only one, with its inputs.
pub fn case<'a, 'p>(checked: &'a Checked<'p>, given: &Json) -> spec::Case<'a, 'p> {
    let program = checked.names.program;
    let flows: Vec<_> = checked.names.flows_of(program.root().id).collect();
    let main = flows.iter().find(|f| f.name() == "main");
    let flow = main.or(flows.first()).expect("a workflow").id;
    let given = given
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| {
            let value = v.clone();
            let origin = "the test".to_owned();
            (k.clone(), Given::Json { value, origin })
        })
        .collect();
    let inputs = check::inputs(&checked.names, flow, given)
        .unwrap_or_else(|p| panic!("{p:#?}\n{}", program.root().source.text));
    spec::Case {
        secrets: check::secrets_of(checked, flow, &inputs),
        checked,
        flow,
        inputs,
        catalog: Catalog::embedded(),
        settings: Settings::new(Mode::Run),
        approves_after: Millis::mins(5),
        judgements: Vec::new(),
    }
}

/// Plays one process of a case.
pub fn play(case: &spec::Case<'_, '_>, left: Left) -> Played {
    let player = Player::new(case).expect("secrets that can be told from the journal's words");
    player.play(left, &How::default())
}

/// The simulated cloud that tests begin with.
pub fn cloud() -> Sim {
    Sim::new(Catalog::embedded(), Scenario::default(), START)
}

pub fn dump(journal: &[Arc<Line>]) -> String {
    journal
        .iter()
        .map(|line| format!("{:>4} {}\n", line.seq, line.body))
        .collect()
}
