//! What people type: one file a command, and the exit codes that scripts rely on.

mod approve;
pub mod args;
mod cancel;
mod catalog;
mod check;
mod completions;
mod doc;
mod document;
mod exchange;
mod explain;
pub mod failure;
pub mod flow;
mod fmt;
mod graph;
mod init;
pub mod inputs;
mod lib;
mod order;
mod plan;
mod project;
mod prove;
mod resume;
mod rollback;
mod run;
mod runs;
pub mod session;
pub mod settings;
mod sim;
mod talk;
mod test;
pub mod terminal;
mod until;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

pub use crate::hook::rhai_hooks as hooks;

use args::{Args, Command};
use failure::{Exit, Failure};
use settings::{Environment, Settings};

/// The whole program.
pub fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return match error.use_stderr() {
                true => Exit::Usage.into(),
                false => Exit::Done.into(),
            };
        }
    };
    let settings = Settings::new(&args.common, Environment::here());
    match guarded(|| dispatch(&args, &settings)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            settings.terminal.blame(&failure);
            if args.command.speaks_json() && !failure.message.is_empty() {
                let _ = settings.terminal.line(failure.json());
            }
            failure.exit.into()
        }
    }
}

fn dispatch(args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    match &args.command {
        Command::Check(args) => check::check(args, settings),
        Command::Fmt(args) => fmt::fmt(args, settings),
        Command::Plan(args) => plan::plan(args, settings),
        Command::Run(args) => run::run(args, settings),
        Command::Resume(args) => resume::resume(args, settings),
        Command::Rollback(args) => rollback::rollback(args, settings),
        Command::Approve(args) => approve::approve(args, settings),
        Command::Cancel(args) => cancel::cancel(args, settings),
        Command::Runs(args) => runs::runs(args, settings),
        Command::Test(args) => test::test(args, settings),
        Command::Graph(args) => graph::graph(args, settings),
        Command::Doc(args) => doc::doc(args, settings),
        Command::Explain(args) => explain::explain(args, settings),
        Command::Init(args) => init::init(args, settings),
        Command::Lib(args) => lib::lib(args, settings),
        Command::Sim(args) => sim::sim(args, settings),
        Command::Catalog(args) => catalog::catalog(args, settings),
        Command::Completions(args) => completions::completions(args, settings),
    }
}

/// Where the last panic happened, and its message.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// A panic becomes a failure that names itself a bug. Panics that something below catches (a hook's
/// library that trips over its arguments) print nothing.
fn guarded(work: impl FnOnce() -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    std::panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = PANIC.lock() {
            *last = info.to_string();
        }
    }));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = PANIC.lock().map(|last| last.clone()).unwrap_or_default();
        Err(
            Failure::new(Exit::Bug, format!("this is a bug in r5flow: {what}"))
                .help("please report it with the command and the flow; a run can be resumed"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_called_a_bug() {
        let hook = std::panic::take_hook();
        let failure = guarded(|| panic!("two and two")).expect_err("a failure");
        std::panic::set_hook(hook);
        assert_eq!(failure.exit as u8, 70);
        assert!(
            failure.message.starts_with("this is a bug in r5flow: "),
            "{}",
            failure.message
        );
        assert!(
            failure.message.contains("two and two"),
            "{}",
            failure.message
        );
    }
}
