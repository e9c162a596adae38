//! The binary in a folder of its own, with an empty environment.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub struct Folder {
    dir: tempfile::TempDir,
}

/// A command that is over; what it said is looked at behind [`Said::ends`].
#[derive(Debug)]
#[must_use = "assert how it ends"]
pub struct Said(Words);

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Words {
    pub code: i32,
    pub out: String,
    pub err: String,
    line: String,
}

impl Folder {
    pub fn new(files: &[(&str, &str)]) -> Folder {
        let folder = Folder {
            dir: tempfile::tempdir().expect("a directory"),
        };
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_r5flow"));
        command.args(words).current_dir(self.dir.path()).env_clear();
        command.env("USER", "ada");
        command
    }

    pub fn run(&self, words: &[&str]) -> Said {
        self.run_with(words, &[], "")
    }

    pub fn run_with(&self, words: &[&str], env: &[(&str, &str)], stdin: &str) -> Said {
        let mut command = self.command(words);
        command.envs(env.iter().copied());
        Said::of(command, stdin)
    }
}

impl Said {
    /// Runs a command to its end.
    pub fn of(mut command: Command, stdin: &str) -> Said {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut input = child.stdin.take().expect("a pipe");
        // A command that does not read its input may be gone already.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("an end");
        let words: Vec<_> = command.get_args().map(|w| w.to_string_lossy()).collect();
        Said(Words {
            code: output.status.code().expect("a code, not a signal"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
            line: words.join(" "),
        })
    }

    #[track_caller]
    pub fn ends(self, code: i32) -> Words {
        self.ends_among(&[code])
    }

    #[track_caller]
    pub fn ends_among(self, codes: &[i32]) -> Words {
        let words = self.0;
        assert!(
            codes.contains(&words.code),
            "{} instead of {codes:?}: r5flow {}\n{}\n{}",
            words.code,
            words.line,
            words.out,
            words.err
        );
        words
    }
}

impl Words {
    #[track_caller]
    pub fn out_has(self, part: &str) -> Words {
        assert!(self.out.contains(part), "no {part:?} in:\n{}", self.out);
        self
    }

    #[track_caller]
    pub fn err_has(self, part: &str) -> Words {
        assert!(self.err.contains(part), "no {part:?} in:\n{}", self.err);
        self
    }

    /// Either stream says this, wherever its lines are broken.
    #[track_caller]
    pub fn says(self, part: &str) -> Words {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = flat(&format!("{} {}", self.out, self.err));
        assert!(all.contains(&flat(part)), "no {part:?} in:\n{all}");
        self
    }

    /// Neither stream holds the text.
    #[track_caller]
    pub fn never_has(self, part: &str) -> Words {
        for text in [&self.out, &self.err] {
            assert!(!text.contains(part), "{part:?} in:\n{text}");
        }
        self
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub fn lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out.lines().map(parse).collect()
    }
}
