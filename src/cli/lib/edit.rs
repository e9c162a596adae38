//! `r5flow.toml`, changed where a command says so; everything else of it stays as it is.

use toml_edit::{DocumentMut, InlineTable, Item, Table, value};

use crate::package::content::MANIFEST;
use crate::package::manifest::{At, Dependency, Source};

fn document(text: &str) -> Result<DocumentMut, String> {
    text.parse()
        .map_err(|e| format!("`{MANIFEST}`: {}", format!("{e}").trim_end()))
}

/// The text with a name and a version, where it has none.
///
/// # Errors
/// The text is no TOML.
pub fn named(text: &str, name: &str) -> Result<String, String> {
    let mut document = document(text)?;
    for (key, said) in [("name", name), ("version", "0.1.0")] {
        if !document.contains_key(key) {
            document.insert(key, value(said));
        }
    }
    Ok(document.to_string())
}

/// The text with this dependency.
///
/// # Errors
/// The text is no TOML, or its `dependencies` are no table.
pub fn with(text: &str, name: &str, dependency: &Dependency) -> Result<String, String> {
    let mut document = document(text)?;
    let all = document
        .entry("dependencies")
        .or_insert_with(|| Item::Table(Table::new()));
    let all = all
        .as_table_like_mut()
        .ok_or(format!("`{MANIFEST}`: `dependencies` is no table"))?;
    all.insert(name, value(inline(dependency)));
    Ok(document.to_string())
}

/// The text without this dependency.
///
/// # Errors
/// The text is no TOML.
pub fn without(text: &str, name: &str) -> Result<String, String> {
    let mut document = document(text)?;
    if let Some(all) = document
        .get_mut("dependencies")
        .and_then(Item::as_table_like_mut)
    {
        all.remove(name);
    }
    Ok(document.to_string())
}

fn inline(dependency: &Dependency) -> InlineTable {
    let mut table = InlineTable::new();
    let mut say = |key: &str, said: &str| {
        table.insert(key, said.into());
    };
    let versions = dependency.version.to_string();
    match &dependency.source {
        Source::Folder(path) => say("path", path),
        Source::Git(git) => {
            say("git", &git.url);
            if let Some(folder) = &git.folder {
                say("folder", folder);
            }
            match &git.at {
                At::Versions => say("version", &versions),
                At::Tag(tag) => say("tag", tag),
                At::Branch(branch) => say("branch", branch),
                At::Revision(revision) => say("revision", revision),
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::manifest::Manifest;

    #[test]
    fn comments_and_other_tables_stay() {
        let text = "# ours\nmarks = false # why\n\n[dependencies]\n# blue\nblue = { path = \"../blue\" }\n\n[environments.live]\nprotected = true\n";
        let line = "[dependencies]\nred = { git = \"https://example.com/red\", folder = \"x\", version = \"^1\" }\n";
        let red = Manifest::parse(line)
            .expect("a manifest")
            .dependencies
            .remove("red")
            .expect("one");
        let more = with(text, "red", &red).expect("a text");
        for kept in ["# ours", "# why", "# blue", "[environments.live]"] {
            assert!(more.contains(kept), "{more}");
        }
        assert_eq!(
            Manifest::parse(&more).expect("a manifest").dependencies["red"],
            red
        );
        assert_eq!(without(&more, "red").expect("a text"), text);
        let fresh = with("", "red", &red).expect("a text");
        assert_eq!(
            Manifest::parse(&fresh).expect("a manifest").dependencies["red"],
            red
        );
        assert!(
            named(text, "shop")
                .expect("a text")
                .contains("name = \"shop\"")
        );
    }
}
