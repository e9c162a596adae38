//! `r5flow graph`

use super::args::{Graph as Args, GraphFormat};
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::{flow, inputs, session};
use crate::check::names::FlowId;
use crate::check::{Checked, inputs_known};
use crate::diag::Code;
use crate::plan::{Graph, Memo};
use crate::report::graph::Drawing;
use crate::value::Value;

pub fn graph(args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    let catalog = settings.catalog()?;
    let (program, parsed) = flow::read(&args.file, &settings.project()?)?;
    let checked = flow::check(&program, parsed, &catalog);
    flow::refuse_errors(&checked, settings)?;
    let id = session::choose(&checked, args.workflow.as_deref())
        .map_err(|e| Failure::of(e, settings))?;
    let graph = build(&checked, id, args, settings)?;
    let drawing = Drawing::of(&graph);
    let text = match args.format {
        GraphFormat::Mermaid => drawing.mermaid(),
        GraphFormat::Dot => drawing.dot(),
        GraphFormat::Json => format!("{:#}\n", drawing.json()),
    };
    settings.terminal.print(&text)?;
    Ok(Exit::Done)
}

/// The graph as far as the inputs tell: what depends on one that is not given stays open.
fn build<'p>(
    checked: &'p Checked<'p>,
    id: FlowId,
    args: &Args,
    settings: &Settings,
) -> Result<Graph<'p>, Failure> {
    let names = &checked.names;
    let map = &names.program.sources;
    let given = inputs::gather(checked, id, &args.inputs, settings)?;
    let (mut values, problems) = inputs_known(names, id, given);
    let (missing, wrong): (Vec<_>, Vec<_>) = problems
        .into_iter()
        .partition(|p| p.code == Code::MISSING_INPUT);
    if !wrong.is_empty() {
        return Err(inputs::refusal(&wrong, map));
    }
    for problem in missing {
        let later = Value::later(&format!("input {}", problem.path));
        values.insert(problem.path.into(), later);
    }
    Graph::build(names, id, values, &Memo::default()).map_err(|error| {
        let message = format!("{}: {}", map.place(error.span), error.message);
        Failure {
            help: error.help,
            ..Failure::new(Exit::Flow, message)
        }
    })
}
