//! Libraries from repositories of many kinds.

use crate::library_rig::{Machine, Published, manifest};

const WORD: &str = "let word = \"one\"\n";
const FLOW: &str = "use red/image { word }\n\nworkflow w {\n  output o = word\n}\n";

fn made<'m>(machine: &'m Machine, folder: &'static str, format: &str) -> Published<'m> {
    let library = machine.library_of("red", folder, format);
    library.version("1.0.0", WORD);
    library.publish("1.0.0");
    library.version("1.1.0", "let word = \"two\"\n");
    library.commit("1.1.0");
    library
}

/// Takes the library by these words, uses it, and uses it again with an empty cache.
#[track_caller]
fn taken(machine: &Machine, words: &[&str], version: &str) {
    machine.project("shop", &[("x.r5flow", FLOW)]);
    let words: Vec<&str> = ["lib", "add"].iter().chain(words).copied().collect();
    machine
        .run("shop", &words)
        .ends(0)
        .out_has(&format!("added red {version}"));
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    machine.remove("cache");
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    machine
        .run("shop", &["lib", "verify"])
        .ends(0)
        .out_has(&format!("good  red {version}"));
}

#[test]
fn a_bare_repository_and_a_work_tree() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    taken(&machine, &[&library.url()], "1.0.0");
    machine.remove("shop");
    taken(&machine, &["../work/red", "--version", "=1.0.0"], "1.0.0");
    machine.remove("shop");
    taken(&machine, &[&format!("file://{}", library.url())], "1.0.0");
}

#[test]
fn annotated_tags_and_signs_before_the_version() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    library.git(&["tag", "-a", "-m", "the second", "v1.1.0"]);
    library.git(&["tag", "latest"]);
    library.push();
    taken(&machine, &[&library.url(), "--version", "^1.1"], "1.1.0");
    let lock = machine.read("shop/r5flow.lock");
    let commit = library.git(&["rev-parse", "v1.1.0^{commit}"]);
    assert!(lock.contains(&commit) && lock.contains("v1.1.0"), "{lock}");
}

#[test]
fn ids_of_sha256() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha256");
    taken(&machine, &[&library.url()], "1.0.0");
    let commit = library.git(&["rev-parse", "1.0.0^{commit}"]);
    assert_eq!(commit.len(), 64);
    assert!(machine.read("shop/r5flow.lock").contains(&commit));
}

#[test]
fn a_shallow_clone() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    library.git(&["tag", "1.1.0"]);
    library.push();
    let from = format!("file://{}", library.url());
    machine.git(
        "repositories",
        &[
            "clone",
            "-q",
            "--bare",
            "--depth=1",
            "--branch=1.1.0",
            &from,
            "shallow.git",
        ],
    );
    let shallow = machine
        .path("repositories/shallow.git")
        .display()
        .to_string();
    taken(&machine, &[&shallow], "1.1.0");
}

/// Packed refs, a branch that is called as a tag is, a tag of a tag, and a user who lets git enter no bare
/// repository by itself.
#[test]
fn refs_of_all_kinds() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    library.git(&["branch", "1.0.0"]);
    library.git(&["tag", "-a", "-m", "inner", "inner"]);
    library.git(&["tag", "-a", "-m", "outer", "1.1.0", "inner"]);
    library.push();
    machine.git("repositories/red.git", &["pack-refs", "--all", "--prune"]);
    machine.write("home/.gitconfig", "[safe]\n\tbareRepository = explicit\n");
    taken(&machine, &[&library.url(), "--version", "=1.0.0"], "1.0.0");
    let first = library.git(&["rev-parse", "refs/tags/1.0.0^{commit}"]);
    assert!(machine.read("shop/r5flow.lock").contains(&first));
    machine.remove("shop");
    taken(&machine, &[&library.url()], "1.1.0");
}

/// A second tag for a version that is published already is no way to exchange it.
#[test]
fn two_tags_for_one_version() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    library.git(&["tag", "v1.0.0", "1.0.0"]);
    library.push();
    taken(&machine, &[&library.url()], "1.0.0");
    library.write("image.r5flow", "let word = \"evil\"\n");
    library.version("1.0.0", "let word = \"evil\"\n");
    library.commit("evil");
    library.git(&["tag", "red-1.0.0"]);
    library.push();
    let lock = machine.read("shop/r5flow.lock");
    let told = "are both version 1.0.0, and name different commits";
    machine
        .run("shop", &["lib", "update"])
        .ends(1)
        .err_has(told);
    machine.project("fresh", &[]);
    machine
        .run("fresh", &["lib", "add", &library.url()])
        .ends(1)
        .err_has(told);
    assert_eq!(machine.read("shop/r5flow.lock"), lock);
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
}

#[test]
fn a_tag_that_is_no_commit() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    library.git(&["tag", "1.2.0", "HEAD^{tree}"]);
    library.git(&["tag", "1.3.0", "HEAD:r5flow.toml"]);
    library.push();
    machine.project("shop", &[]);
    for version in ["=1.2.0", "=1.3.0"] {
        let words = ["lib", "add", &library.url(), "--version", version];
        machine.run("shop", &words).ends(1).err_has("git says:");
    }
    assert!(!machine.path("shop/r5flow.lock").exists());
}

#[test]
fn a_tag_a_branch_a_commit_and_a_folder() {
    let machine = Machine::new();
    let library = made(&machine, "libs/red", "sha1");
    library.git(&["branch", "next"]);
    library.git(&["tag", "stable"]);
    library.push();
    let url = library.url();
    let folder = ["--folder", "libs/red"];
    let add = |more: &[&str], version: &str| {
        taken(
            &machine,
            &[&[url.as_str()], more, &folder].concat(),
            version,
        );
        let lock = machine.read("shop/r5flow.lock");
        machine.remove("shop");
        lock
    };
    add(&["--version", "^1"], "1.0.0");
    assert!(add(&["--tag", "stable"], "1.1.0").contains("stable"));
    assert!(add(&["--branch", "next"], "1.1.0").contains("next"));
    let first = library.git(&["rev-parse", "1.0.0^{commit}"]);
    assert!(add(&["--revision", &first], "1.0.0").contains(&first));
    machine.project("shop", &[]);
    machine
        .run(
            "shop",
            &[
                "lib",
                "add",
                &url,
                "--tag",
                "stable",
                "--folder",
                "libs/blue",
            ],
        )
        .ends(1)
        .err_has("it has no folder `libs/blue`");
}

#[test]
fn a_branch_moves_when_it_is_updated_only() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    library.push();
    machine.project("shop", &[("x.r5flow", FLOW)]);
    machine
        .run("shop", &["lib", "add", &library.url(), "--branch", "main"])
        .ends(0)
        .out_has("added red 1.1.0");
    library.version("1.2.0", WORD);
    library.commit("1.2.0");
    library.push();
    machine.run("shop", &["lib", "verify"]).ends(0);
    machine.write("blue/r5flow.toml", &manifest("blue", "1.0.0", ""));
    machine.write("blue/image.r5flow", WORD);
    let added = machine.run("shop", &["lib", "add", "../blue"]).ends(0);
    assert_eq!(added.out, "added blue 1.0.0 from the folder ../blue\n");
    machine
        .run("shop", &["lib", "update"])
        .ends(0)
        .out_has("red 1.1.0 → 1.2.0\n");
}

#[test]
fn a_surrounding_git_changes_nothing() {
    let machine = Machine::new();
    let library = made(&machine, "", "sha1");
    machine.project("shop", &[]);
    machine.git("shop", &["init", "-q"]);
    let other = machine.path("shop/.git").display().to_string();
    let before = machine.tree("shop/.git");
    let env = [
        ("GIT_DIR", other.as_str()),
        ("GIT_WORK_TREE", other.as_str()),
        ("GIT_INDEX_FILE", "/nonexistent"),
    ];
    machine
        .run_with("shop", &["lib", "add", &library.url()], &env)
        .ends(0)
        .out_has("added red 1.0.0");
    assert_eq!(before, machine.tree("shop/.git"));
}

#[test]
fn what_is_no_library_is_told() {
    let machine = Machine::new();
    let library = machine.library("red", "");
    library.write("r5flow.toml", &manifest("red", "1.0.0", ""));
    library.publish("1.0.0");
    library.version("1.0.0", WORD);
    library.publish("1.1.0");
    library.write("r5flow.toml", "marks = true\n");
    library.publish("1.2.0");
    machine.project("shop", &[]);
    let url = library.url();
    let add = |version: &str| {
        machine
            .run("shop", &["lib", "add", &url, "--version", version])
            .ends(1)
    };
    add("=1.0.0").err_has("it exports `image`, and has no `image.r5flow`");
    add("=1.1.0").err_has("the tag 1.1.0 says 1.1.0, and its `r5flow.toml` 1.0.0");
    add("=1.2.0").err_has("says no `name` and `version`");
    add("^3").err_has("no tag is a version that ^3 allows");
    let nowhere = machine.path("nowhere.git").display().to_string();
    machine
        .run("shop", &["lib", "add", &nowhere])
        .ends(1)
        .err_has("git says:");
    assert!(!machine.path("shop/r5flow.lock").exists());
}

/// An address of ssh goes to the ssh that the user's git uses, with the host and the path as they are.
#[cfg(unix)]
#[test]
fn ssh_as_the_user_has_it() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    made(&machine, "", "sha1");
    let script = format!(
        "#!/bin/sh\nfor word; do said=\"$last\"; last=\"$word\"; done\necho \"$said\" >> '{}'\ncd '{}' && exec sh -c \"$last\"\n",
        machine.path("asked").display(),
        machine.path("").display()
    );
    machine.write("ssh", &script);
    let rights = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(machine.path("ssh"), rights).expect("rights");
    machine.project("shop", &[("x.r5flow", FLOW)]);
    let ssh = machine.path("ssh").display().to_string();
    let env = [("GIT_SSH_COMMAND", ssh.as_str())];
    let words = ["lib", "add", "git@example.com:repositories/red.git"];
    machine
        .run_with("shop", &words, &env)
        .ends(0)
        .out_has("added red 1.0.0");
    assert!(
        machine
            .read("asked")
            .lines()
            .all(|host| host == "git@example.com")
    );
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    // The same by the settings of git, with the other form of the address.
    machine.write(
        "home/.gitconfig",
        &format!("[core]\n\tsshCommand = {ssh}\n"),
    );
    machine.project("other", &[]);
    let path = machine.path("repositories/red.git").display().to_string();
    let words = ["lib", "add", &format!("ssh://git@example.com{path}")];
    machine
        .run("other", &words)
        .ends(0)
        .out_has("added red 1.0.0");
    let asked = machine.read("asked");
    assert!(
        asked.lines().all(|host| host == "git@example.com"),
        "{asked}"
    );
}
