//! Libraries for people: which there are, what a command changed, whether they are what they should be.

use serde_json::{Value as Json, json};

use super::{Look, clean, head, one_line};
use crate::package::interface::Offered;
use crate::package::lock::Lock;

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
