//! The grammar of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::lib::args::{Init, Lib, LibCommand};

/// Provision on Google Cloud by workflows that are checked, run in parallel, and resume after any
/// crash.
#[derive(Debug, Parser)]
#[command(name = "r5flow", version, propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Debug, ClapArgs)]
pub struct Common {
    /// When to colour what is printed
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub color: Color,
    /// A directory of catalogue files that override and extend the built-in ones
    /// (R5FLOW_CATALOG)
    #[arg(long, global = true, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
    /// Where runs are kept
    #[arg(long, global = true, value_name = "DIR", default_value = ".r5flow")]
    pub state: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look for mistakes; nothing is called
    Check(Check),
    /// Bring files into the canonical layout
    Fmt(Fmt),
    /// Show what a run would do
    Plan(Plan),
    /// Run a workflow
    Run(Run),
    /// Go on with a run where it stopped
    Resume(Resume),
    /// Take back what a run did
    Rollback(Rollback),
    /// Answer a step or checkpoint that waits for a person
    Approve(Approve),
    /// Ask a run that another process drives to stop
    Cancel(Cancel),
    /// List the runs, or show one
    Runs(Runs),
    /// Prove on the simulated cloud that a workflow survives being disturbed
    Test(Test),
    /// Draw the graph of a workflow
    Graph(Graph),
    /// Write the reference of modules from their comments
    Doc(Doc),
    /// Tell the long story of a diagnostic
    Explain(Explain),
    /// Make a project of the working directory
    Init(Init),
    /// Take in, update and compare libraries of flows
    Lib(Lib),
    /// Serve the simulated cloud on a port
    Sim(Sim),
    /// Show what the API catalogue knows of a service, collection, method or type
    Catalog(Catalog),
    /// Print a completion script
    Completions(Completions),
}

impl Command {
    /// Whether standard output is for a machine.
    pub fn speaks_json(&self) -> bool {
        match self {
            Command::Check(args) => args.json,
            Command::Plan(args) => args.driving.json,
            Command::Run(args) => args.driving.json,
            Command::Resume(args) => args.driving.json,
            Command::Rollback(args) => args.driving.json,
            Command::Runs(args) => args.json,
            Command::Test(args) => args.json,
            Command::Lib(Lib {
                command: LibCommand::Diff(args),
            }) => args.driving.json,
            Command::Doc(args) => args.json,
            _ => false,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct Check {
    /// Flows; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Fmt {
    /// Flows; `-` formats standard input to standard output
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Write nothing; exit with 2 when something would change
    #[arg(long)]
    pub check: bool,
    /// Write nothing; print what would change
    #[arg(long)]
    pub diff: bool,
}

/// Where the values of inputs come from.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Inputs {
    /// The value of an input; wins over R5FLOW_INPUT_NAME, which wins over a file
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub input: Vec<String>,
    /// Values of inputs: TOML, JSON or YAML, by the ending; the last file wins
    #[arg(long, value_name = "FILE")]
    pub inputs: Vec<PathBuf>,
}

/// Options of plan, run and resume.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Driving {
    #[command(flatten)]
    pub inputs: Inputs,
    /// Use the simulated cloud in this process, in virtual time; a scenario's name ends in `.toml`
    #[arg(long, value_name = "SCENARIO", num_args = 0..=1, require_equals = true)]
    pub sim: Option<Option<PathBuf>>,
    /// Send a service's calls, or all, elsewhere (R5FLOW_ENDPOINT_SERVICE, R5FLOW_ENDPOINT)
    #[arg(long, value_name = "[SERVICE=]URL", conflicts_with = "sim")]
    pub endpoint: Vec<String>,
    /// Send Google credentials to this host too, over https, or over http to this machine (repeatable)
    #[arg(long, value_name = "HOST", conflicts_with = "sim")]
    pub send_credentials_to: Vec<String>,
    /// Act as this service account, which your own account may impersonate
    #[arg(long, value_name = "EMAIL", conflicts_with = "sim")]
    pub impersonate: Option<String>,
    /// The project that pays for the requests (GOOGLE_CLOUD_QUOTA_PROJECT)
    #[arg(long, value_name = "PROJECT", conflicts_with = "sim")]
    pub quota_project: Option<String>,
    /// Trust the certificate authorities of this file (PEM) too (R5FLOW_CA)
    #[arg(long, value_name = "FILE", conflicts_with = "sim")]
    pub ca: Option<PathBuf>,
    /// How many steps may talk to the cloud at one time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: Option<u16>,
    /// Stop when this checkpoint is reached
    #[arg(long, value_name = "CHECKPOINT")]
    pub until: Option<String>,
    /// The environment; one run at a time holds it
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
    /// Do not ask before changing anything
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Delete and replace in this protected environment too; `--yes` alone does not
    #[arg(long, value_name = "ENVIRONMENT")]
    pub destroy: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Plan {
    /// The flow, a `.r5flow` file
    pub file: String,
    /// Which workflow, when the file has several
    pub workflow: Option<String>,
    /// Exit with 2 when there is something to do
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Keep the plan in a file, for `r5flow run PLAN`
    #[arg(long, value_name = "PLAN")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub driving: Driving,
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// The flow, a `.r5flow` file; or a plan that `r5flow plan --out` kept
    pub file: String,
    /// Which workflow, when the file has several
    pub workflow: Option<String>,
    #[command(flatten)]
    pub driving: Driving,
}

#[derive(Debug, ClapArgs)]
pub struct Resume {
    /// The run's id or its beginning; the newest run when it is left out
    pub run: Option<String>,
    /// Go on although another process, or a copy elsewhere, holds the run
    #[arg(long)]
    pub take_over: bool,
    /// Read the flow's files anew, show what that makes of every step, ask, and go on with them
    #[arg(long)]
    pub edited: bool,
    /// Do everything behind this checkpoint again
    #[arg(long, value_name = "CHECKPOINT")]
    pub from: Option<String>,
    /// Do this step again, and what writes the same after it
    #[arg(long, value_name = "STEP")]
    pub redo: Vec<String>,
    /// What is recorded of this step counts, whatever the flow says now
    #[arg(long, value_name = "STEP")]
    pub keep: Vec<String>,
    /// Drop what is recorded of this step, although a call of it may be open
    #[arg(long, value_name = "STEP")]
    pub forget: Vec<String>,
    /// Do not look whether somebody changed what the run made
    #[arg(long)]
    pub no_refresh: bool,
    #[command(flatten)]
    pub driving: Driving,
}

#[derive(Debug, ClapArgs)]
pub struct Rollback {
    /// The run's id or its beginning
    pub run: String,
    /// Take back only what was done since this checkpoint
    #[arg(long, value_name = "CHECKPOINT")]
    pub to: Option<String>,
    /// Show what would be taken back, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go on although another process, or a copy elsewhere, holds the run
    #[arg(long)]
    pub take_over: bool,
    #[command(flatten)]
    pub driving: Driving,
}

#[derive(Debug, ClapArgs)]
pub struct Approve {
    /// The run's id or its beginning
    pub run: String,
    /// The step or checkpoint that waits
    pub step: String,
    /// Say no
    #[arg(long)]
    pub deny: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Cancel {
    /// The run's id or its beginning
    pub run: String,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Runs {
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// The run's id or its beginning
    pub run: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Write a run's journal as one file, without keys and secrets
    Export(RunsExport),
    /// Take up a run from such a file; it goes on with `resume --take-over` only
    Import(RunsImport),
}

#[derive(Debug, ClapArgs)]
pub struct RunsExport {
    /// The run's id or its beginning
    pub run: String,
    /// Where to; standard output when it is left out
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct RunsImport {
    /// What `runs export` wrote; `-` is standard input
    pub file: PathBuf,
}

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("mode"))]
pub struct Test {
    /// Kill the run at every effect and resume it
    #[arg(long, group = "mode")]
    pub crash_everywhere: bool,
    /// With `--crash-everywhere`: kill its rollback too, and roll back a run that was killed
    #[arg(long, requires = "crash_everywhere")]
    pub rollback: bool,
    /// Let every call fail once in every way
    #[arg(long, group = "mode")]
    pub fail_everywhere: bool,
    /// Flows, and folders that are looked through for them; the current folder when none is named.
    /// With `--crash-everywhere` and `--fail-everywhere`: one flow, and which of its workflows
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// Run only the tests whose titles hold this text
    #[arg(long, value_name = "TEXT", conflicts_with = "mode")]
    pub only: Option<String>,
    /// Write what came of the tests to a file as JUnit XML
    #[arg(long, value_name = "FILE", conflicts_with = "mode")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub inputs: Inputs,
    /// What the simulated cloud holds; its name ends in `.toml`
    #[arg(long, visible_alias = "scenario", value_name = "SCENARIO", num_args = 0..=1, require_equals = true)]
    pub sim: Option<Option<PathBuf>>,
    /// How many steps may talk to the cloud at one time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: Option<u16>,
    /// Try every point, and not only the first and the last of those that leave the same
    #[arg(long)]
    pub all: bool,
    /// What is drawn by chance, is drawn by this number
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
    /// Try only this point, as a report names it
    #[arg(long, value_name = "POINT")]
    pub point: Vec<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Graph {
    /// The flow, a `.r5flow` file
    pub file: String,
    /// Which workflow, when the file has several
    pub workflow: Option<String>,
    #[arg(long, value_enum, default_value = "mermaid")]
    pub format: GraphFormat,
    #[command(flatten)]
    pub inputs: Inputs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    Mermaid,
    Dot,
    Json,
}

#[derive(Debug, ClapArgs)]
pub struct Doc {
    /// Flows, and folders of them
    #[arg(value_name = "PATH", default_value = ".", conflicts_with = "stdlib")]
    pub paths: Vec<PathBuf>,
    /// The standard library
    #[arg(long)]
    pub stdlib: bool,
    /// Write a page for each module, and an index; standard output when it is left out
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Write nothing; exit with 2 when a page in FOLDER would change
    #[arg(long, requires = "out")]
    pub check: bool,
    /// Name everything that has no comment
    #[arg(long)]
    pub missing: bool,
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// Such as R0202
    pub code: String,
}

#[derive(Debug, ClapArgs)]
pub struct Sim {
    /// Port 0 takes any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8471")]
    pub listen: String,
    /// What the cloud holds and how it behaves
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// How many times faster than real time goes by; `virtual`: it jumps from call to call
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub speed: String,
    /// Tell what is simulated: of a collection or a service, or of everything
    #[arg(long, value_name = "COLLECTION", num_args = 0..=1, conflicts_with_all = ["listen", "scenario", "speed"])]
    pub explain: Option<Option<String>>,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Catalog {
    #[command(subcommand)]
    pub command: Option<CatalogCommand>,
    /// A service, collection, method or type; all services when it is left out
    #[arg(value_name = "METHOD|TYPE")]
    pub name: Option<String>,
    /// List the methods that change something, with what is known of a call whose answer is lost
    #[arg(long)]
    pub classes: bool,
}

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Make catalogue files from discovery documents
    Build(CatalogBuild),
}

#[derive(Debug, ClapArgs)]
pub struct CatalogBuild {
    /// Documents as Google serves them under `$discovery/rest`
    #[arg(required = true, value_name = "DOC.json")]
    pub documents: Vec<PathBuf>,
    /// Where the files go
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct Completions {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Reads the command line.
///
/// # Errors
/// Clap's: misuse, and the requests for help and version.
pub fn parse(given: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    Args::try_parse_from(with_scenarios_joined(given))
}

/// `--sim FILE.toml` as `--sim=FILE.toml`: the scenario may be left out, and what follows a bare
/// `--sim` is mostly the flow.
fn with_scenarios_joined(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    for word in given {
        let scenario = word.to_string_lossy().ends_with(".toml");
        match out.last_mut() {
            Some(last) if scenario && (last == "--sim" || last == "--scenario") => {
                last.push("=");
                last.push(word);
            }
            _ => out.push(word),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Run {
        let words = words.iter().map(OsString::from);
        match parse(words).expect("a right command line").command {
            Command::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_grammar_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn a_scenario_may_follow_sim_and_a_flow_may_too() {
        let bare = run(&["r5flow", "run", "--sim", "a.r5flow"]);
        assert_eq!(
            (bare.file.as_str(), bare.driving.sim),
            ("a.r5flow", Some(None))
        );
        let spaced = run(&["r5flow", "run", "--sim", "b.toml", "a.r5flow", "w"]);
        assert_eq!(spaced.driving.sim, Some(Some(PathBuf::from("b.toml"))));
        assert_eq!(spaced.workflow.as_deref(), Some("w"));
        let joined = run(&["r5flow", "run", "a.r5flow", "--sim=b"]);
        assert_eq!(joined.driving.sim, Some(Some(PathBuf::from("b"))));
        assert_eq!(run(&["r5flow", "run", "a.r5flow"]).driving.sim, None);
    }
}
