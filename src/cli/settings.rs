//! What the environment of the process says. Where credentials lie is asked by `cloud`.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::args::{Color, Common};
use super::failure::Failure;
use super::terminal::Terminal;
use super::world::revisions;
use crate::catalog::Catalog;
use crate::fetch::{Limits, Places, Project};
use crate::package::select::Here;
use crate::store::StateDir;

const INPUT: &str = "R5FLOW_INPUT_";
const ENDPOINT: &str = "R5FLOW_ENDPOINT";
const QUOTA_PROJECT: &str = "GOOGLE_CLOUD_QUOTA_PROJECT";

/// The variables that r5flow looks at.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Of this process; variables that are no text are left out.
    pub fn here() -> Environment {
        let known = [
            "NO_COLOR",
            "GITHUB_ACTIONS",
            "TERM",
            "USER",
            "LOGNAME",
            "USERNAME",
            "GITHUB_ACTOR",
            "XDG_CACHE_HOME",
            "LOCALAPPDATA",
            "HOME",
            QUOTA_PROJECT,
        ];
        let variables = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .filter(|(k, _)| k.starts_with("R5FLOW_") || known.contains(&k.as_str()))
            .collect();
        Environment { variables }
    }

    /// An empty variable counts as absent.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        Some(value.as_str()).filter(|v| !v.is_empty())
    }

    /// The value that `R5FLOW_INPUT_NAME` gives to an input; it may be empty.
    pub fn input(&self, name: &str) -> Option<(String, &str)> {
        let variable = format!("{INPUT}{}", name.to_uppercase());
        let value = self.variables.get(&variable)?;
        Some((variable, value.as_str()))
    }

    /// Everything that begins with `R5FLOW_ENDPOINT`.
    pub fn endpoints(&self) -> Vec<(String, String)> {
        self.variables
            .iter()
            .filter(|(k, _)| k.starts_with(ENDPOINT))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// The project that pays for requests to Google.
    pub fn quota_project(&self) -> Option<&str> {
        self.get(QUOTA_PROJECT)
    }

    /// A file of certificate authorities.
    pub fn ca(&self) -> Option<PathBuf> {
        self.get("R5FLOW_CA").map(PathBuf::from)
    }

    pub fn github_actions(&self) -> bool {
        self.get("GITHUB_ACTIONS") == Some("true")
    }

    pub fn no_color(&self) -> bool {
        self.get("NO_COLOR").is_some()
    }

    /// A terminal that cannot move its cursor.
    pub fn dumb(&self) -> bool {
        self.get("TERM") == Some("dumb")
    }

    /// Where libraries are cached.
    pub fn cache(&self) -> Option<PathBuf> {
        let below = |name: &str, rest: &str| Some(Path::new(self.get(name)?).join(rest));
        below("R5FLOW_CACHE", "")
            .or_else(|| below("XDG_CACHE_HOME", "r5flow"))
            .or_else(|| below("LOCALAPPDATA", "r5flow"))
            .or_else(|| below("HOME", ".cache/r5flow"))
    }

    /// Who runs this, for journals and approvals.
    pub fn user(&self) -> String {
        ["GITHUB_ACTOR", "USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| self.get(name))
            .unwrap_or("unknown")
            .to_owned()
    }
}

/// What every command works with.
#[derive(Debug)]
pub struct Settings {
    pub environment: Environment,
    pub terminal: Terminal,
    /// The state directory; it need not exist.
    pub state: PathBuf,
    catalog: Option<PathBuf>,
    project: OnceCell<Project>,
}

impl Settings {
    pub fn new(common: &Common, environment: Environment) -> Settings {
        let catalog = common
            .catalog
            .clone()
            .or_else(|| environment.get("R5FLOW_CATALOG").map(PathBuf::from));
        let color = match common.color {
            Color::Always => Some(true),
            Color::Never => Some(false),
            Color::Auto if environment.no_color() => Some(false),
            Color::Auto => None,
        };
        Settings {
            terminal: Terminal::here(color, &environment),
            environment,
            state: common.state.clone(),
            catalog,
            project: OnceCell::new(),
        }
    }

    /// The built-in services, with those of `--catalog`.
    ///
    /// # Errors
    /// The directory of `--catalog` cannot be used.
    pub fn catalog(&self) -> Result<Catalog, Failure> {
        match &self.catalog {
            Some(dir) => Ok(Catalog::with_dir(dir)?),
            None => Ok(Catalog::embedded()),
        }
    }

    /// The files of the project in the working directory, and of its libraries.
    ///
    /// # Errors
    /// The directory of `--catalog` cannot be used.
    pub fn project(&self) -> Result<Project, Failure> {
        if let Some(project) = self.project.get() {
            return Ok(project.clone());
        }
        let project = Project::new(self.places()?);
        Ok(self.project.get_or_init(|| project).clone())
    }

    /// Where the project in the working directory and its libraries are.
    ///
    /// # Errors
    /// The directory of `--catalog` cannot be used.
    pub fn places(&self) -> Result<Places, Failure> {
        Ok(Places {
            root: PathBuf::from("."),
            cache: self.environment.cache(),
            here: Here {
                r5flow: version(),
                catalog: revisions(&self.catalog()?),
            },
            limits: Limits::default(),
        })
    }

    /// The state directory of commands that look at runs; they make none.
    ///
    /// # Errors
    /// It is not there, or cannot be used.
    pub fn state_dir(&self) -> Result<StateDir, Failure> {
        if !self.has_state() {
            let message = format!("there are no runs in `{}`", self.state.display());
            return Err(Failure::usage(message).help("name another state directory with `--state`"));
        }
        Ok(StateDir::open(&self.state)?)
    }

    /// Whether the state directory is there; reading commands must not make one.
    pub fn has_state(&self) -> bool {
        Path::new(&self.state).is_dir()
    }
}

/// Of this r5flow.
fn version() -> semver::Version {
    let part = |text: &str| text.parse().unwrap_or(0);
    let [major, minor, patch] = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ]
    .map(part);
    semver::Version::new(major, minor, patch)
}

#[cfg(test)]
impl Environment {
    pub fn of(pairs: &[(&str, &str)]) -> Environment {
        Environment {
            variables: pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }
}
