//! `r5flow.lock`: which library is which, down to the last byte.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::manifest::{At, Git, Manifest, Source, is_name, is_revision, mistake};

/// The file's name.
pub const LOCK: &str = "r5flow.lock";
/// The version of the file's form.
const FORMAT: u32 = 1;
const HEAD: &str = "# Written by `r5flow lib`. Commit it, and leave it as it is.\n";

/// Every library of a project, in its one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// The revisions of the services' descriptions with which it was made.
    pub catalog: BTreeMap<String, String>,
    pub libraries: BTreeMap<String, Locked>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Locked {
    pub version: Version,
    pub source: Source,
    /// The tag that is this version, when versions are tags.
    pub tag: Option<String>,
    /// The commit; a folder has none.
    pub revision: Option<String>,
    /// The hash of its content.
    pub content: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    #[serde(default, rename = "library")]
    libraries: Vec<WrittenLibrary>,
    #[serde(default)]
    catalog: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLibrary {
    name: String,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    /// `versions`, `tag`, `branch` or `revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    content: String,
}

impl Lock {
    /// # Errors
    /// What is wrong with the text, for people.
    pub fn parse(text: &str) -> Result<Lock, String> {
        let written: Written = toml::from_str(text).map_err(|e| mistake(&e))?;
        if written.format != FORMAT {
            return Err(format!(
                "its form is {}, and this r5flow knows {FORMAT}; update r5flow, or make it anew with `r5flow lib update`",
                written.format
            ));
        }
        let mut libraries = BTreeMap::new();
        for library in written.libraries {
            let name = library.name.clone();
            is_name(&name)?;
            let locked = library.read().map_err(|why| format!("`{name}`: {why}"))?;
            if libraries.insert(name.clone(), locked).is_some() {
                return Err(format!("`{name}` stands twice in it"));
            }
        }
        Ok(Lock {
            catalog: written.catalog,
            libraries,
        })
    }

    /// # Errors
    /// Never for a lock that was made here; the words of the serializer.
    pub fn text(&self) -> Result<String, String> {
        let libraries = self
            .libraries
            .iter()
            .map(|(name, locked)| WrittenLibrary::of(name, locked));
        let written = Written {
            format: FORMAT,
            libraries: libraries.collect(),
            catalog: self.catalog.clone(),
        };
        Ok(format!(
            "{HEAD}{}",
            toml::to_string(&written).map_err(|e| e.to_string())?
        ))
    }

    /// The library as it is locked, if it is what the project asks for.
    ///
    /// # Errors
    /// The two files do not go together, for people.
    pub fn wanted(&self, project: &Manifest, name: &str) -> Result<&Locked, String> {
        let Some(locked) = self.libraries.get(name) else {
            return Err(format!(
                "`{name}` is not in `{LOCK}`; run `r5flow lib update {name}`"
            ));
        };
        let Some(wanted) = project.dependencies.get(name) else {
            return Ok(locked);
        };
        if wanted.source != locked.source {
            return Err(format!(
                "`r5flow.toml` takes `{name}` from {}, and `{LOCK}` from {}; run `r5flow lib update {name}`",
                wanted.source, locked.source
            ));
        }
        if !wanted.version.matches(&locked.version) {
            return Err(format!(
                "`r5flow.toml` asks for `{name}` {}, and `{LOCK}` holds {}; run `r5flow lib update {name}`",
                wanted.version, locked.version
            ));
        }
        Ok(locked)
    }
}

impl WrittenLibrary {
    fn of(name: &str, locked: &Locked) -> WrittenLibrary {
        let mut written = WrittenLibrary {
            name: name.to_owned(),
            version: locked.version.clone(),
            path: None,
            git: None,
            folder: None,
            by: None,
            reference: locked.tag.clone(),
            revision: locked.revision.clone(),
            content: locked.content.clone(),
        };
        match &locked.source {
            Source::Folder(path) => written.path = Some(path.clone()),
            Source::Git(git) => {
                written.git = Some(git.url.clone());
                written.folder.clone_from(&git.folder);
                let (by, reference) = match &git.at {
                    At::Versions => ("versions", None),
                    At::Tag(tag) => ("tag", Some(tag)),
                    At::Branch(branch) => ("branch", Some(branch)),
                    At::Revision(_) => ("revision", None),
                };
                written.by = Some(by.into());
                written.reference = reference.cloned().or(written.reference);
            }
        }
        written
    }

    fn read(self) -> Result<Locked, String> {
        let hex = self.content.strip_prefix("blake3:").unwrap_or_default();
        if hex.len() != 64 || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err("its `content` is no hash".into());
        }
        if let Some(revision) = &self.revision {
            is_revision(revision)?;
        }
        let (source, tag) = match (self.path, self.git) {
            (Some(path), None) => (Source::Folder(path), None),
            (None, Some(url)) => {
                let revision = self.revision.clone().ok_or("it has no `revision`")?;
                let (at, tag) = match (self.by.as_deref(), self.reference) {
                    (Some("versions"), Some(tag)) => (At::Versions, Some(tag)),
                    (Some("tag"), Some(tag)) => (At::Tag(tag.clone()), Some(tag)),
                    (Some("branch"), Some(branch)) => (At::Branch(branch), None),
                    (Some("revision"), None) => (At::Revision(revision), None),
                    _ => return Err("its `by` and `ref` do not go together".into()),
                };
                if let Some(tag) = &tag {
                    Git {
                        url: url.clone(),
                        folder: None,
                        at: At::Tag(tag.clone()),
                    }
                    .checked()?;
                }
                let folder = self.folder;
                (Source::Git(Git { url, folder, at }.checked()?), tag)
            }
            _ => return Err("it has neither `path` nor `git`".into()),
        };
        Ok(Locked {
            version: self.version,
            source,
            tag,
            revision: self.revision,
            content: self.content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(source: Source, tag: Option<&str>) -> Locked {
        let git = matches!(source, Source::Git(_));
        Locked {
            version: Version::new(1, 0, 0),
            source,
            tag: tag.map(str::to_owned),
            revision: git.then(|| "a".repeat(40)),
            content: format!("blake3:{}", "0".repeat(64)),
        }
    }

    fn git(at: At) -> Source {
        Source::Git(Git {
            url: "https://example.com/x".into(),
            folder: Some("libs/x".into()),
            at,
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = [
            ("a", locked(git(At::Versions), Some("v1.0.0"))),
            ("b", locked(git(At::Tag("v1.0.0".into())), Some("v1.0.0"))),
            ("c", locked(git(At::Branch("main".into())), None)),
            ("d", locked(git(At::Revision("a".repeat(40))), None)),
            ("e", locked(Source::Folder("../x".into()), None)),
        ];
        let lock = Lock {
            catalog: BTreeMap::from([("compute".to_owned(), "20250101".to_owned())]),
            libraries: all
                .into_iter()
                .map(|(name, l)| (name.to_owned(), l))
                .collect(),
        };
        assert_eq!(Lock::parse(&lock.text().expect("a text")), Ok(lock));
    }

    #[test]
    fn what_somebody_made_of_it_is_not_believed() {
        let lock = |name: &str, source: Source, tag| Lock {
            catalog: BTreeMap::new(),
            libraries: BTreeMap::from([(name.to_owned(), locked(source, tag))]),
        };
        let good = lock("a", git(At::Versions), Some("v1.0.0"))
            .text()
            .expect("a text");
        for (old, new) in [
            ("format = 1", "format = 2"),
            ("https://example.com/x", "--upload-pack=x"),
            ("v1.0.0", "--upload-pack=x"),
            ("libs/x", "../x"),
            ("name = \"a\"", "name = \"../a\""),
            ("blake3:0", "blake3:/"),
            ("revision = \"a", "revision = \"-"),
            ("by = \"versions\"", "by = \"magic\""),
        ] {
            let bad = good.replacen(old, new, 1);
            assert_ne!(bad, good, "{old}");
            assert!(Lock::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_lock_must_be_what_the_project_asks_for() {
        let dependency = |version: &str| {
            let text =
                format!("[dependencies]\na = {{ path = \"../x\", version = \"{version}\" }}\n");
            Manifest::parse(&text).expect("a manifest")
        };
        let lock = Lock {
            catalog: BTreeMap::new(),
            libraries: BTreeMap::from([(
                "a".to_owned(),
                locked(Source::Folder("../x".into()), None),
            )]),
        };
        assert!(lock.wanted(&dependency("^1"), "a").is_ok());
        let told = lock.wanted(&dependency("^2"), "a").expect_err("too old");
        assert!(
            told.contains("asks for `a` ^2") && told.contains("holds 1.0.0"),
            "{told}"
        );
        assert!(lock.wanted(&dependency("^1"), "b").is_err());
        let other = Lock {
            libraries: BTreeMap::from([(
                "a".to_owned(),
                locked(Source::Folder("../y".into()), None),
            )]),
            ..lock
        };
        assert!(
            other
                .wanted(&dependency("^1"), "a")
                .expect_err("elsewhere")
                .contains("the folder ../y")
        );
    }
}
