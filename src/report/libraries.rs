//! Libraries for people: which there are, what a command changed, whether they are what they should be.

use super::{Look, clean, one_line};
use crate::package::interface::Offered;
use crate::package::lock::Lock;

/// A library of the project.
pub struct Row {
    pub name: String,
    pub version: String,
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
            version: "not locked".into(),
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
            row.version,
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

/// What became of a lock.
pub fn changes(old: &Lock, new: &Lock) -> String {
    let mut out = String::new();
    let mut names: Vec<&String> = old.libraries.keys().chain(new.libraries.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let line = match (old.libraries.get(name), new.libraries.get(name)) {
            (None, Some(now)) => format!("added {name} {} from {}", now.version, now.source),
            (Some(then), None) => format!("removed {name} {}", then.version),
            (Some(then), Some(now)) if then.version != now.version => {
                format!("{name} {} → {}", then.version, now.version)
            }
            (Some(then), Some(now)) if then.content != now.content => {
                format!("{name} {}: another content", now.version)
            }
            _ => continue,
        };
        out.push_str(&format!("{}\n", clean(&line)));
    }
    match out.is_empty() {
        true => "nothing changes\n".into(),
        false => out,
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
}

/// One line for a library, and one for what should be known besides.
pub fn verified(found: &Verified, look: Look) -> String {
    let version = found.version.as_deref().unwrap_or_default();
    let mut out = match &found.wrong {
        Some(why) => format!("{} {}: {}\n", look.red("wrong"), found.name, one_line(why)),
        None => format!("{} {} {version}\n", look.green("good "), found.name),
    };
    if let Some(note) = &found.note {
        out.push_str(&format!("      {}\n", one_line(note)));
    }
    out
}
