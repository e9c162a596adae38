//! What a project says of its environments: `r5flow.toml` in the working directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::failure::Failure;

/// The file's name.
pub const FILE: &str = "r5flow.toml";

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Project {
    #[serde(default)]
    environments: BTreeMap<String, Environment>,
    /// Whether what is created carries the labels of its run and environment.
    marks: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Environment {
    #[serde(default)]
    protected: bool,
}

impl Project {
    /// Reads the file; without one nothing is protected.
    ///
    /// # Errors
    /// The file cannot be read, or says something else than it may.
    pub fn here() -> Result<Project, Failure> {
        match std::fs::read_to_string(Path::new(FILE)) {
            Ok(text) => Project::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Project::default()),
            Err(error) => Err(Failure::usage(format!("`{FILE}` cannot be read: {error}"))),
        }
    }

    fn parse(text: &str) -> Result<Project, Failure> {
        toml::from_str(text).map_err(|error| Failure::usage(format!("`{FILE}`: {error}")))
    }

    /// The names of the protected environments.
    pub fn protected(&self) -> BTreeSet<String> {
        let protected = self.environments.iter().filter(|(_, e)| e.protected);
        protected.map(|(name, _)| name.clone()).collect()
    }

    pub fn marks(&self) -> bool {
        self.marks.unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_file_names_is_protected() {
        let text = "[environments.live]\nprotected = true\n[environments.test]\n[other]\nx = 1\n";
        let project = Project::parse(text).expect("a project");
        assert_eq!(project.protected(), BTreeSet::from(["live".to_owned()]));
        assert!(project.marks());
        assert!(!Project::parse("marks = false").expect("a project").marks());
    }

    #[test]
    fn what_is_no_yes_or_no_is_refused() {
        let failure = Project::parse("[environments.live]\nprotected = \"yes\"\n");
        let failure = failure.expect_err("no text");
        assert!(
            failure.message.contains("r5flow.toml"),
            "{}",
            failure.message
        );
    }
}
