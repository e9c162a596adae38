//! The grammar of `r5flow lib`.

use clap::{Args as ClapArgs, Subcommand};

use crate::cli::args::Driving;

#[derive(Debug, ClapArgs)]
pub struct Init {
    /// What the project is called; the name of its folder when it is left out
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Lib {
    #[command(subcommand)]
    pub command: LibCommand,
}

#[derive(Debug, Subcommand)]
pub enum LibCommand {
    /// Take a library into the project
    Add(Add),
    /// Take a library out of the project
    Remove(Remove),
    /// Take the newest versions that `r5flow.toml` allows
    Update(Update),
    /// List the libraries and what they export
    List(Show),
    /// Keep copies of all libraries in the project, for machines that reach nobody
    Vendor(Show),
    /// Look whether copies, tags and folders are what `r5flow.lock` says
    Verify(Show),
    /// Show what another version of a library changes in the plan of a flow
    Diff(Box<Diff>),
}

#[derive(Debug, ClapArgs)]
#[command(disable_version_flag = true)]
pub struct Add {
    /// A folder, or a git repository: https, ssh, or a folder
    #[arg(allow_hyphen_values = true)]
    pub source: String,
    /// Which versions, such as ^1; those that the newest one begins, when nothing is said
    #[arg(long, value_name = "VERSIONS", group = "which")]
    pub version: Option<String>,
    /// This tag of the repository
    #[arg(long, value_name = "TAG", group = "which", allow_hyphen_values = true)]
    pub tag: Option<String>,
    /// The newest commit of this branch
    #[arg(
        long,
        value_name = "BRANCH",
        group = "which",
        allow_hyphen_values = true
    )]
    pub branch: Option<String>,
    /// This commit
    #[arg(
        long,
        value_name = "COMMIT",
        group = "which",
        allow_hyphen_values = true
    )]
    pub revision: Option<String>,
    /// The folder of the repository that is the library
    #[arg(long, value_name = "DIR", allow_hyphen_values = true)]
    pub folder: Option<String>,
    #[command(flatten)]
    pub show: Show,
}

#[derive(Debug, ClapArgs)]
pub struct Show {
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Remove {
    pub name: String,
    #[command(flatten)]
    pub show: Show,
}

#[derive(Debug, ClapArgs)]
pub struct Update {
    /// Only these; all when none is named
    pub names: Vec<String>,
    #[command(flatten)]
    pub show: Show,
}

#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// The library and its version, such as platform@1.0.0
    pub old: String,
    /// The other version: platform@1.1.0, or 1.1.0
    pub new: String,
    /// The flow that uses it
    #[arg(long = "in", value_name = "FILE")]
    pub file: String,
    /// Which workflow, when the file has several
    #[arg(long, value_name = "WORKFLOW")]
    pub workflow: Option<String>,
    #[command(flatten)]
    pub driving: Driving,
}
