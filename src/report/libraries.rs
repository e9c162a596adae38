//! Libraries for people: which there are, what a command changed, whether they are what they should be.

use std::collections::BTreeSet;

use semver::Version;
use serde_json::{Value as Json, json};

use super::{Look, clean, count, head, one_line};
use crate::package::interface::Offered;
use crate::package::lock::{Lock, Locked};

/// A library of the project.
pub struct Row {
    pub name: String,
    /// `None`: it is not locked.
    pub version: Option<String>,
    pub source: String,
    /// The project itself names it.
    pub direct: bool,
    /// The exported modules, each with what it offers.
    pub exports: Vec<(String, Vec<Offered>)>,
}

impl Row {
    /// A library that is not locked.
    pub fn missing(name: &str) -> Row {
        Row {
            name: name.to_owned(),
            version: None,
            source: "run `r5flow lib update`".into(),
            direct: true,
            exports: Vec::new(),
        }
    }
}

/// The libraries with what they export.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no libraries\n".into();
    }
    let mut out = String::new();
    for row in rows {
        let needed = if row.direct {
            ""
        } else {
            " (needed by another library)"
        };
        out.push_str(&format!(
            "{} {}{needed}: {}\n",
            row.name,
            row.version.as_deref().unwrap_or("not locked"),
            clean(&row.source)
        ));
        for (module, offered) in &row.exports {
            out.push_str(&format!("  use {}/{module}\n", row.name));
            for item in offered {
                out.push_str(&format!("    {}\n", one_line(&item.signature)));
                if let Some(doc) = &item.doc {
                    out.push_str(&format!("      {}\n", one_line(doc)));
                }
            }
        }
    }
    out
}

/// A head, and a line for each library.
pub fn json(rows: &[Row]) -> Vec<Json> {
    let exported = |(module, offered): &(String, Vec<Offered>)| {
        let items: Vec<Json> = offered
            .iter()
            .map(|o| json!({ "name": o.name, "signature": o.signature, "doc": o.doc }))
            .collect();
        json!({ "module": module, "offers": items })
    };
    let row = |row: &Row| {
        json!({
            "kind": "library",
            "name": row.name,
            "version": row.version,
            "source": row.source,
            "direct": row.direct,
            "exports": row.exports.iter().map(exported).collect::<Vec<_>>(),
        })
    };
    std::iter::once(head("lib list"))
        .chain(rows.iter().map(row))
        .collect()
}

/// What a command made of a lock.
pub struct Changes {
    pub libraries: Vec<Change>,
    /// Whether `r5flow.toml` says something else than before.
    pub manifest: bool,
    pub notes: Vec<Note>,
}

/// A library before and after.
pub struct Change {
    name: String,
    old: Option<Locked>,
    new: Option<Locked>,
}

/// What should be known besides.
pub enum Note {
    /// A newer version that was not taken.
    PassedOver {
        library: String,
        version: Version,
        why: String,
    },
    /// The project's own copies, in this folder, are of what was locked before.
    Copies(&'static str),
}

impl Changes {
    pub fn between(old: &Lock, new: &Lock) -> Changes {
        let (old, new) = (&old.libraries, &new.libraries);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let changes = names.into_iter().map(|name| Change {
            name: name.clone(),
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
        });
        Changes {
            libraries: changes.filter(Change::is_one).collect(),
            manifest: false,
            notes: Vec::new(),
        }
    }

    pub fn text(&self) -> String {
        match (self.libraries.is_empty(), self.manifest) {
            (true, false) => "nothing changes\n".into(),
            (true, true) => {
                "`r5flow.toml` says so now, and the libraries stay as they are\n".into()
            }
            (false, _) => self.libraries.iter().map(Change::text).collect(),
        }
    }

    /// A head, a line for each library that changed, a line for each note.
    pub fn json(&self, command: &str) -> Vec<Json> {
        std::iter::once(head(command))
            .chain(self.libraries.iter().map(Change::json))
            .chain(self.notes.iter().map(Note::json))
            .collect()
    }
}

impl Change {
    fn is_one(&self) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => old.version != new.version || old.content != new.content,
            _ => true,
        }
    }

    fn text(&self) -> String {
        let name = &self.name;
        let line = match (&self.old, &self.new) {
            (None, None) => return String::new(),
            (None, Some(now)) => format!("added {name} {} from {}", now.version, now.source),
            (Some(then), None) => format!("removed {name} {}", then.version),
            (Some(then), Some(now)) if then.version != now.version => {
                format!("{name} {} → {}", then.version, now.version)
            }
            (Some(_), Some(now)) => format!("{name} {}: another content", now.version),
        };
        format!("{}\n", clean(&line))
    }

    fn json(&self) -> Json {
        let version = |side: &Option<Locked>| side.as_ref().map(|l| l.version.to_string());
        let now = self.new.as_ref();
        json!({
            "kind": "library",
            "name": self.name,
            "old": version(&self.old),
            "new": version(&self.new),
            "source": now.map(|l| l.source.to_string()),
            "content": now.map(|l| &l.content),
        })
    }
}

impl Note {
    pub fn text(&self) -> String {
        let text = match self {
            Note::PassedOver {
                library,
                version,
                why,
            } => format!("{library} {version} is passed over: {why}"),
            Note::Copies(folder) => format!(
                "the copies in {folder} are no longer what `r5flow.lock` says; `r5flow lib vendor` writes them anew"
            ),
        };
        format!("note: {}\n", clean(&text))
    }

    fn json(&self) -> Json {
        match self {
            Note::PassedOver {
                library,
                version,
                why,
            } => {
                json!({ "kind": "passed over", "name": library, "version": version.to_string(), "why": why })
            }
            Note::Copies(folder) => json!({ "kind": "copies", "folder": folder, "old": true }),
        }
    }
}

/// The copies of a project.
pub struct Kept {
    pub libraries: usize,
    pub files: usize,
    pub folder: &'static str,
}

impl Kept {
    pub fn text(&self) -> String {
        let libraries = match self.libraries {
            1 => "1 library".to_owned(),
            n => format!("{n} libraries"),
        };
        format!(
            "{libraries}, {}, in {}\n",
            count(self.files, "file"),
            self.folder
        )
    }

    pub fn json(&self) -> Vec<Json> {
        vec![
            head("lib vendor"),
            json!({ "kind": "copies", "folder": self.folder, "libraries": self.libraries, "files": self.files }),
        ]
    }
}

/// What was found of one library.
pub struct Verified {
    pub name: String,
    pub version: Option<String>,
    pub wrong: Option<String>,
    pub note: Option<String>,
}

impl Verified {
    pub fn wrong(name: &str, why: String) -> Verified {
        Verified {
            name: name.to_owned(),
            version: None,
            wrong: Some(why),
            note: None,
        }
    }
    /// One line for a library, and one for what should be known besides.
    pub fn text(&self, look: Look) -> String {
        let version = self.version.as_deref().unwrap_or_default();
        let name = &self.name;
        let mut out = match &self.wrong {
            Some(why) => format!("{} {name}: {}\n", look.red("wrong"), one_line(why)),
            None => format!("{} {name} {version}\n", look.green("good ")),
        };
        if let Some(note) = &self.note {
            out.push_str(&format!("      {}\n", one_line(note)));
        }
        out
    }

    pub fn json(&self) -> Json {
        json!({
            "kind": "library",
            "name": self.name,
            "version": self.version,
            "good": self.wrong.is_none(),
            "wrong": self.wrong,
            "note": self.note,
        })
    }
}

/// A service whose description is another one here than when the libraries were locked.
pub struct OtherRevision<'a> {
    pub service: &'a str,
    pub locked: &'a str,
    pub here: &'a str,
}

impl OtherRevision<'_> {
    pub fn text(&self) -> String {
        format!(
            "note: locked with the description of `{}` of {}; here it is of {}\n",
            clean(self.service),
            clean(self.locked),
            clean(self.here)
        )
    }

    pub fn json(&self) -> Json {
        json!({ "kind": "catalog", "service": self.service, "locked": self.locked, "here": self.here })
    }
}
