//! A flow from its file: read, parsed, bound, checked, and the workflow that is meant.

use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::terminal;
use crate::catalog::Catalog;
use crate::check::names::{FlowId, Names};
use crate::check::{Checked, check_with};
use crate::diag::{Diagnostic, Severity, nearest, render};
use crate::hook::{Function, HookEngine, Sandbox};
use crate::package::{Disk, Files, Program, load};
use crate::syntax::ast::HookDef;

/// How standard input is called in messages.
pub const STDIN: &str = "<stdin>";

/// The disk, and standard input where a command names it.
struct DiskAndStdin {
    stdin: Option<String>,
}

impl Files for DiskAndStdin {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match &self.stdin {
            Some(text) if path == STDIN => Ok(text.clone().into_bytes()),
            _ => Disk.read(path),
        }
    }
}

/// Reads a flow and everything it uses; `-` is standard input.
///
/// # Errors
/// The file cannot be read; mistakes in it are findings.
pub fn read(file: &str) -> Result<(Program, Vec<Diagnostic>), Failure> {
    let (name, stdin) = match file {
        "-" => (STDIN, Some(terminal::stdin_text()?)),
        file => (file, None),
    };
    load(name, &DiskAndStdin { stdin })
        .map_err(|why| Failure::usage(format!("`{name}` cannot be read: {why}")))
}

/// Checks a program; `parsed` are the findings of reading it, and the answer holds all of them in
/// the order of the text.
pub fn check<'p>(program: &'p Program, parsed: Vec<Diagnostic>, catalog: &Catalog) -> Checked<'p> {
    let engine = HookEngine::new(&Sandbox::default());
    let mut checked = check_with(program, catalog, &|hook, text| {
        hook_syntax(&engine, hook, text)
    });
    checked.diagnostics.extend(parsed);
    checked.diagnostics.sort_by_key(|d| (d.span, d.code));
    checked
}

fn hook_syntax(
    engine: &HookEngine,
    hook: &HookDef,
    text: &str,
) -> Option<(std::ops::Range<usize>, String)> {
    let params: Vec<&str> = hook.params.iter().map(|p| &*p.name.text).collect();
    let function = Function::new(&hook.name.text, &params, text);
    let error = engine.compile(&function).err()?;
    let at = error.offset_in(text).unwrap_or(0).min(text.len());
    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    Some((at..end, error.message))
}

/// Prints what stands in the way of a plan or a run.
///
/// # Errors
/// There are errors among the findings.
pub fn refuse_errors(checked: &Checked<'_>, settings: &Settings) -> Result<(), Failure> {
    if !checked.has_errors() {
        return Ok(());
    }
    let errors: Vec<Diagnostic> = checked
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .cloned()
        .collect();
    let text = render::text(
        &checked.names.program.sources,
        &errors,
        settings.terminal.err.into(),
    );
    settings.terminal.tell(&text);
    Err(Failure::flow_errors())
}

/// The workflow that is meant: the one that is named, or the only one of the file.
///
/// # Errors
/// There is no such workflow, or a name is needed.
pub fn choose(names: &Names<'_>, wanted: Option<&str>) -> Result<FlowId, Failure> {
    let root = names.program.root();
    let flows: Vec<_> = names.flows_of(root.id).collect();
    let list = || {
        let all: Vec<String> = flows.iter().map(|f| format!("`{}`", f.name())).collect();
        all.join(", ")
    };
    match (wanted, flows.as_slice()) {
        (_, []) => Err(
            Failure::new(Exit::Flow, format!("`{}` declares no workflow", root.path)).help(
                "a file of types and hooks is used by others; name one that holds a `workflow`",
            ),
        ),
        (None, [only]) => Ok(only.id),
        (None, _) => Err(Failure::usage(format!(
            "`{}` holds several workflows: {}",
            root.path,
            list()
        ))
        .help("name one behind the file")),
        (Some(name), _) => match flows.iter().find(|f| f.name() == name) {
            Some(flow) => Ok(flow.id),
            None => {
                let near = nearest(name, flows.iter().map(|f| f.name()));
                let failure = Failure::usage(format!("`{}` holds no workflow `{name}`", root.path));
                Err(match near {
                    Some(near) => failure.help(format!("did you mean `{near}`?")),
                    None => failure.help(format!("it holds {}", list())),
                })
            }
        },
    }
}
