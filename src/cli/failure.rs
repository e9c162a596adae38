//! Whose fault it is, and with which code the process ends.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::session::SessionError;
use super::settings::Settings;
use super::{flow, inputs};
use crate::catalog::CatalogError;
use crate::cloud::EndpointError;
use crate::journal::RunStatus;
use crate::sim::SimError;
use crate::store::StoreError;

/// How the process ends. The numbers are a contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// A step failed; the run can be resumed.
    Failed = 1,
    /// There is something to do (`plan --detailed-exitcode`), or to format (`fmt --check`).
    Changes = 2,
    /// The flow has errors.
    Flow = 3,
    /// Credentials or permission.
    Permission = 4,
    /// Another run holds the environment.
    Held = 5,
    Paused = 6,
    /// A person must decide.
    Decision = 7,
    Cancelled = 8,
    TimedOut = 9,
    Usage = 64,
    /// A bug of r5flow.
    Bug = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<RunStatus> for Exit {
    fn from(status: RunStatus) -> Exit {
        match status {
            RunStatus::Done | RunStatus::RolledBack => Exit::Done,
            RunStatus::Failed => Exit::Failed,
            RunStatus::Paused => Exit::Paused,
            RunStatus::Cancelled => Exit::Cancelled,
            RunStatus::TimedOut => Exit::TimedOut,
            RunStatus::Decision => Exit::Decision,
            RunStatus::Permission => Exit::Permission,
        }
    }
}

/// Why a command could not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// What happened; empty when everything has been said already.
    pub message: String,
    /// What to do now.
    pub help: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            help: None,
        }
    }

    /// The command was misused.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// What a session could not do; findings are printed here.
    pub fn of(error: SessionError, settings: &Settings) -> Failure {
        match error {
            SessionError::Usage(message) => Failure::usage(message),
            SessionError::Unreadable { file, why } => {
                Failure::usage(format!("`{file}` cannot be read: {why}"))
            }
            SessionError::Unwritten { file, why } => {
                Failure::usage(format!("`{file}` cannot be written: {why}"))
            }
            SessionError::Findings(program, findings) => {
                flow::refusal(&program, &findings, settings)
            }
            SessionError::Refused(_) => Failure::flow_errors(),
            SessionError::Inputs(program, problems) => inputs::refusal(&problems, &program.sources),
            SessionError::Flow {
                place,
                message,
                help,
            } => Failure {
                help,
                ..Failure::new(Exit::Flow, format!("{place}: {message}"))
            },
            SessionError::Secret(error) => Failure::usage(error.to_string()),
            SessionError::Store(error) => error.into(),
            SessionError::Journal(message) | SessionError::World(message) => {
                Failure::new(Exit::Failed, message)
            }
            SessionError::Decision(message) => Failure::new(Exit::Decision, message),
            SessionError::NoAnswer(message) => Failure::new(Exit::Paused, message),
        }
    }

    /// The flow has errors, and they have been printed.
    pub fn flow_errors() -> Failure {
        Failure::new(Exit::Flow, "")
    }

    /// The last line of a machine form that could not be finished.
    pub fn json(&self) -> Json {
        json!({
            "format": crate::report::FORMAT,
            "kind": "error",
            "exit": self.exit as u8,
            "message": self.message,
            "help": self.help,
        })
    }

    pub fn help(mut self, text: impl Into<String>) -> Failure {
        self.help = Some(text.into());
        self
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let exit = match &error {
            StoreError::NoSuchRun(_) | StoreError::BadRunId(_) => Exit::Usage,
            StoreError::Held(_) | StoreError::TakenOver { .. } => Exit::Held,
            StoreError::Elsewhere { .. } => Exit::Decision,
            StoreError::OutOfOrder { .. }
            | StoreError::RunExists(_)
            | StoreError::Closed
            | StoreError::Illegal { .. } => Exit::Bug,
            StoreError::Full { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Io { .. }
            | StoreError::Newer { .. }
            | StoreError::BadExport { .. }
            | StoreError::Damaged(_) => Exit::Failed,
        };
        match error {
            StoreError::Held(holder) => {
                Failure::new(exit, format!("the environment is held by {holder}"))
                    .help("wait until that run is over, or use another environment: `--env NAME`")
            }
            error @ StoreError::Illegal { .. } => {
                Failure::new(exit, format!("this is a bug in r5flow: {error}")).help(
                    "please report it with the flow and `r5flow runs RUN`; the run can be resumed",
                )
            }
            error @ StoreError::TakenOver { .. } => Failure::new(exit, error.to_string())
                .help("`r5flow runs` tells who goes on with it"),
            error => Failure::new(exit, error.to_string()),
        }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Failure {
        Failure::usage(error.to_string())
    }
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Failure {
        Failure::usage(error.to_string())
    }
}

impl From<SimError> for Failure {
    fn from(error: SimError) -> Failure {
        Failure::new(Exit::Failed, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_s_troubles_have_the_codes_of_the_contract() {
        let code = |error: StoreError| Failure::from(error).exit as u8;
        assert_eq!(code(StoreError::NoSuchRun("x".into())), 64);
        assert_eq!(code(StoreError::TakenOver { epoch: 2 }), 5);
        assert_eq!(code(StoreError::Closed), 70);
        let elsewhere = StoreError::Elsewhere {
            recorded: "a".into(),
            here: "b".into(),
        };
        assert_eq!(code(elsewhere), 7);
    }
}
