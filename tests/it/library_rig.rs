//! Teams on one machine: repositories of git, projects, a cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Said, Words};

/// A machine with a place for everything: `repositories`, `projects`, `cache`.
pub struct Machine {
    dir: tempfile::TempDir,
}

/// A library that is written in a work tree, and published from a bare repository beside it.
pub struct Published<'m> {
    machine: &'m Machine,
    name: &'static str,
    /// Where the library stands in the repository.
    folder: &'static str,
}

impl Machine {
    pub fn new() -> Machine {
        let machine = Machine {
            dir: tempfile::tempdir().expect("a directory"),
        };
        std::fs::create_dir(machine.path("home")).expect("a folder");
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        match path.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        }
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// r5flow in a folder of the machine.
    pub fn run(&self, folder: &str, words: &[&str]) -> Said {
        self.run_with(folder, words, &[])
    }

    pub fn run_with(&self, folder: &str, words: &[&str], env: &[(&str, &str)]) -> Said {
        let mut command = self.command(folder, words);
        command.envs(env.iter().copied());
        Said::of(command, "")
    }

    /// r5flow in a folder of the machine, not yet begun.
    pub fn command(&self, folder: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_r5flow"));
        command
            .args(words)
            .current_dir(self.path(folder))
            .env_clear();
        command.env("USER", "ada").env("HOME", self.path("home"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("R5FLOW_CACHE", self.path("cache"));
        command
    }

    pub fn git(&self, folder: &str, words: &[&str]) -> String {
        self.git_with(folder, words, "")
    }

    /// git in a folder of the machine, with something on its standard input.
    pub fn git_with(&self, folder: &str, words: &[&str], stdin: &str) -> String {
        let mut command = Command::new("git");
        let who = [
            "-c",
            "user.name=ada",
            "-c",
            "user.email=ada@example.com",
            "-c",
            "init.defaultBranch=main",
        ];
        command
            .args(who)
            .args(words)
            .current_dir(self.path(folder))
            .env("HOME", self.path("home"));
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR");
        let words = Said::of(command, stdin).ends(0);
        words.out.trim().to_owned()
    }

    /// Makes a library with nothing published yet.
    pub fn library(&self, name: &'static str, folder: &'static str) -> Published<'_> {
        self.library_of(name, folder, "sha1")
    }

    pub fn library_of(
        &self,
        name: &'static str,
        folder: &'static str,
        format: &str,
    ) -> Published<'_> {
        let format = format!("--object-format={format}");
        for place in [format!("work/{name}"), format!("repositories/{name}.git")] {
            std::fs::create_dir_all(self.path(&place)).expect("folders");
            let bare = if place.ends_with(".git") {
                "--bare"
            } else {
                "--quiet"
            };
            self.git(&place, &["init", "-q", &format, bare]);
        }
        Published {
            machine: self,
            name,
            folder,
        }
    }

    /// A project that has the given files.
    pub fn project(&self, name: &str, files: &[(&str, &str)]) {
        std::fs::create_dir_all(self.path(name)).expect("a folder");
        for (file, text) in files {
            self.write(&format!("{name}/{file}"), text);
        }
        self.run(name, &["init"]).ends(0);
    }

    /// Everything below a folder with its bytes, links by where they lead; scratch of git left out.
    pub fn tree(&self, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        look(&self.path(folder), &mut found);
        found
    }
}

fn look(path: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let meta = std::fs::symlink_metadata(path).expect("it is there");
    if meta.is_symlink() {
        let target = std::fs::read_link(path).expect("a link");
        found.insert(
            path.to_owned(),
            target.to_string_lossy().into_owned().into_bytes(),
        );
    } else if meta.is_dir() {
        found.insert(path.to_owned(), Vec::new());
        for entry in std::fs::read_dir(path).expect("a folder") {
            look(&entry.expect("an entry").path(), found);
        }
    } else if meta.is_file() {
        found.insert(path.to_owned(), std::fs::read(path).expect("a file"));
    } else {
        // A pipe: who reads it waits for ever.
        found.insert(path.to_owned(), Vec::new());
    }
}

impl Published<'_> {
    /// Where it is fetched from.
    pub fn url(&self) -> String {
        self.machine
            .path(&format!("repositories/{}.git", self.name))
            .display()
            .to_string()
    }

    pub fn work(&self) -> String {
        format!("work/{}", self.name)
    }

    /// Writes files of the library; they stay for the versions that follow.
    pub fn write(&self, file: &str, text: &str) {
        let folder = format!("{}/{}", self.work(), self.folder);
        self.machine
            .write(&format!("{}/{file}", folder.trim_end_matches('/')), text);
    }

    /// Commits what is written, and pushes it under a tag.
    pub fn publish(&self, tag: &str) {
        self.commit(tag);
        self.git(&["tag", "-f", tag]);
        self.push();
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    pub fn push(&self) {
        self.git(&["push", "-q", "-f", &self.url(), "--all"]);
        self.git(&["push", "-q", "-f", &self.url(), "--tags"]);
    }

    pub fn git(&self, words: &[&str]) -> String {
        self.machine.git(&self.work(), words)
    }

    /// The manifest and one exported module, `image`.
    pub fn version(&self, version: &str, image: &str) {
        self.write("r5flow.toml", &manifest(self.name, version, ""));
        self.write("image.r5flow", image);
    }
}

/// A manifest that exports `image`.
pub fn manifest(name: &str, version: &str, more: &str) -> String {
    format!("name = \"{name}\"\nversion = \"{version}\"\nexports = [\"image\"]\n{more}")
}

pub const FLOW: &str = "use red/image { word }

workflow w {
  input project: string
  at { project }
  step first = ensure compute.globalAddresses(\"first\")
  checkpoint begun
  step second = ensure compute.globalAddresses(word)
}
";

pub const WORD: &str = "let word = \"one\"\n";

/// A machine with the library `red` 1.0.0, a project that uses it, and a run of the project under way.
pub fn prepared(machine: &Machine) -> Published<'_> {
    let library = machine.library("red", "");
    library.version("1.0.0", WORD);
    library.publish("1.0.0");
    machine.project("shop", &[("x.r5flow", FLOW)]);
    machine.project("fresh", &[("x.r5flow", FLOW)]);
    machine
        .run("shop", &["lib", "add", &library.url(), "--version", "^1"])
        .ends(0);
    let words = [
        "run",
        "x.r5flow",
        "-y",
        "--sim",
        "--input",
        "project=demo",
        "--until",
        "begun",
    ];
    machine.run("shop", &words).ends(6);
    library
}

/// Runs a command that must be refused, and looks that it changed nothing but the cache.
#[track_caller]
pub fn refused(machine: &Machine, folder: &str, words: &[&str], code: i32) -> Words {
    let outside = || {
        let mut all = machine.tree("");
        let cache = machine.path("cache");
        // The folder of the cache itself may be made.
        all.retain(|path: &PathBuf, _| !path.starts_with(&cache));
        all
    };
    let before = outside();
    let said = machine.run(folder, words).ends(code);
    let after = outside();
    let changed: Vec<&PathBuf> = after
        .iter()
        .filter(|(path, bytes)| before.get(*path) != Some(*bytes))
        .map(|(path, _)| path)
        .chain(before.keys().filter(|path| !after.contains_key(*path)))
        .collect();
    assert!(changed.is_empty(), "{words:?} changed {changed:?}");
    assert_only_copies(machine);
    said
}

/// The cache holds packed libraries and nothing else: no name of a library became a file.
#[track_caller]
pub fn assert_only_copies(machine: &Machine) {
    let cache = machine.path("cache");
    if !cache.exists() {
        return;
    }
    for (path, _) in machine.tree("cache") {
        let name = path
            .strip_prefix(&cache)
            .expect("inside")
            .to_string_lossy()
            .into_owned();
        let copy = name
            .strip_prefix("libraries/")
            .and_then(|n| n.strip_suffix(".json"))
            .is_some_and(|n| n.len() == 64);
        assert!(
            copy || ["", "libraries", "fetching", "fetching/.door"].contains(&name.as_str()),
            "{name}"
        );
    }
}

/// The run that began with 1.0.0 goes on with what it stored.
#[track_caller]
pub fn the_run_goes_on(machine: &Machine) {
    machine.run("shop", &["resume", "-y"]).ends(0);
    let told = machine.run("shop", &["runs", "--json"]).ends(0);
    assert!(told.out.contains("\"done\""), "{}", told.out);
}
