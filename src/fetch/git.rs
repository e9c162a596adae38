//! The user's own git, as a child process. It brings objects, and nothing is ever checked out.
//!
//! What a repository holds is read as objects: no name of it becomes a path on this machine, no hook runs, no
//! filter, no submodule. Credentials are git's own affair; it may not ask for them at the terminal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::scratch::Scratch;
use crate::package::content::{self, Content, Entry, Kind, MOST_BYTES, MOST_ENTRIES};
use crate::package::manifest::is_path;

/// How much, and for how long, git may bring.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one fetch.
    pub download: u64,
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            download: 256 << 20,
            patience: Duration::from_secs(300),
        }
    }
}

/// How often a running git is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// So many bytes of texts and names are read of git, and so many of its messages.
const MOST_OUT: u64 = MOST_BYTES as u64 + (4 << 20);
const MOST_ERR: u64 = 1 << 20;
/// Where the wanted commit stands in the repository that is fetched into.
const WANTED: &str = "refs/r5flow/wanted";

/// Variables by which a surrounding git would make ours work elsewhere.
const OTHERS: [&str; 7] = [
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_COMMON_DIR",
    "GIT_SHALLOW_FILE",
];

/// The tags and branches of a repository, each with its commit.
#[derive(Clone, Debug, Default)]
pub struct Refs {
    pub tags: BTreeMap<String, String>,
    pub branches: BTreeMap<String, String>,
}

/// What is fetched.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// A full name of a ref, or the id of a commit.
    pub name: String,
    /// The commit that it must be.
    pub commit: &'a str,
    pub folder: Option<&'a str>,
}

/// A repository, and the place where git may write.
pub struct Repository {
    /// As git takes it: an absolute path, or an address.
    url: String,
    scratch: Scratch,
    limits: Limits,
}

impl Repository {
    /// # Errors
    /// The place where git may write cannot be made.
    pub fn new(url: &str, root: &Path, cache: &Path, limits: Limits) -> Result<Repository, String> {
        Ok(Repository {
            url: absolute(url, root)?,
            scratch: Scratch::new(cache)?,
            limits,
        })
    }

    /// # Errors
    /// git does not answer, or says why not.
    pub fn refs(&self) -> Result<Refs, String> {
        let words = [
            "ls-remote",
            "--quiet",
            "--",
            &self.url,
            "refs/tags/*",
            "refs/heads/*",
        ];
        let out = self.git(&words, Vec::new())?;
        let mut refs = Refs::default();
        for line in String::from_utf8_lossy(&out).lines() {
            let Some((id, name)) = line.split_once('\t') else {
                continue;
            };
            if let Some(branch) = name.strip_prefix("refs/heads/") {
                refs.branches.insert(branch.to_owned(), id.to_owned());
            } else if let Some(tag) = name.strip_prefix("refs/tags/") {
                // An annotated tag is followed by the commit that it stands for.
                refs.tags.insert(
                    tag.strip_suffix("^{}").unwrap_or(tag).to_owned(),
                    id.to_owned(),
                );
            }
        }
        Ok(refs)
    }

    /// The library that a commit holds.
    ///
    /// # Errors
    /// It cannot be had, is another commit than it must be, or is no library.
    pub fn content(&self, wanted: &Wanted<'_>) -> Result<Content, String> {
        let format = if wanted.commit.len() == 64 {
            "sha256"
        } else {
            "sha1"
        };
        let format = format!("--object-format={format}");
        self.git(
            &["init", "--quiet", "--bare", "--template=", &format],
            Vec::new(),
        )?;
        let refspec = format!("+{}:{WANTED}", wanted.name);
        let mut fetch = vec![
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
        ];
        fetch.extend([
            "--update-shallow",
            "--no-write-fetch-head",
            "--",
            &self.url,
            &refspec,
        ]);
        self.git(&fetch, Vec::new())?;
        let commit = self.git(
            &["rev-parse", "--verify", &format!("{WANTED}^{{commit}}")],
            Vec::new(),
        )?;
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        if commit != wanted.commit {
            return Err(format!(
                "it is commit {commit} now, and should be {}",
                wanted.commit
            ));
        }
        self.read(&commit, wanted.folder)
    }

    fn read(&self, commit: &str, folder: Option<&str>) -> Result<Content, String> {
        let tree = format!("{commit}:{}", folder.unwrap_or_default());
        let listed = self.git(
            &["ls-tree", "-r", "-z", "-l", "--full-tree", &tree],
            Vec::new(),
        );
        let listed = listed.map_err(|why| match folder {
            Some(folder)
                if why.contains("ot a valid object name") || why.contains("not a tree") =>
            {
                format!("it has no folder `{folder}`")
            }
            _ => why,
        })?;
        let (ids, entries) = entries(&listed)?;
        let belonging = content::belonging(&entries)?;
        let asked: String = belonging
            .iter()
            .map(|at| format!("{}\n", ids[*at]))
            .collect();
        let blobs = self.git(&["cat-file", "--batch"], asked.into_bytes())?;
        let mut rest = blobs.as_slice();
        let mut files = BTreeMap::new();
        for at in belonging {
            let text = blob(&mut rest).ok_or("git gave less than it listed")?;
            files.insert(entries[at].path.clone(), text.to_vec());
        }
        Content::new(files)
    }

    fn git(&self, words: &[&str], stdin: Vec<u8>) -> Result<Vec<u8>, String> {
        let messages = self.scratch.path("messages");
        let mut command = Command::new("git");
        for setting in [
            "core.hooksPath=/dev/null",
            "core.symlinks=false",
            "core.fsmonitor=false",
            "protocol.version=2",
            "gc.auto=0",
            "maintenance.auto=false",
            "fetch.writeCommitGraph=false",
        ] {
            command.args(["-c", setting]);
        }
        command.args(words).current_dir(self.scratch.path(""));
        for name in OTHERS {
            command.env_remove(name);
        }
        command
            .env("GIT_DIR", self.scratch.path("git"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "file:https:ssh")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // No pipe: what git starts may hold it longer than git lives.
            .stderr(File::create(&messages).map_err(|e| format!("`{}`: {e}", messages.display()))?);
        let child = command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                "there is no `git` on this machine, and it brings libraries".to_owned()
            }
            _ => format!("git does not start: {e}"),
        })?;
        let (status, out) = self.attend(child, stdin)?;
        match status.success() {
            true => Ok(out),
            false => Err(complaint(&read(File::open(messages).ok(), MOST_ERR))),
        }
    }

    /// Waits for git, and ends it when it brings too much or takes too long.
    fn attend(&self, mut child: Child, stdin: Vec<u8>) -> Result<(ExitStatus, Vec<u8>), String> {
        let began = Instant::now();
        let input = child.stdin.take();
        let writing = std::thread::spawn(move || {
            // A git that reads no more has said why.
            let _ = input.map(|mut pipe| pipe.write_all(&stdin));
        });
        let stdout = child.stdout.take();
        let reading = std::thread::spawn(move || read(stdout, MOST_OUT));
        let mut stopped = None;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(e) => return Err(format!("git cannot be waited for: {e}")),
            }
            stopped = match (
                self.scratch.bytes() > self.limits.download,
                began.elapsed() > self.limits.patience,
            ) {
                (true, _) => Some(self.too_large()),
                (_, true) => Some(format!(
                    "git took longer than {} seconds",
                    self.limits.patience.as_secs()
                )),
                _ => None,
            };
            if stopped.is_some() {
                // What it started reads from it, and ends with it; what does not is not waited for.
                let _ = child.kill();
            }
            std::thread::sleep(LOOK);
        };
        if let Some(why) = stopped {
            return Err(why);
        }
        let lost = |_| "git could not be read".to_owned();
        writing.join().map_err(lost)?;
        let out = reading.join().map_err(lost)?;
        if out.len() as u64 > MOST_OUT {
            return Err(
                "it has more files, tags and branches than a library can have; name the folder in it that is the \
                 library, or give it a repository of its own"
                    .into(),
            );
        }
        match self.scratch.bytes() > self.limits.download {
            true => Err(self.too_large()),
            false => Ok((status, out)),
        }
    }

    fn too_large(&self) -> String {
        format!(
            "the repository brings more than {} MiB for one commit; a library belongs in a repository of its own",
            self.limits.download >> 20
        )
    }
}

/// What comes, and of what is too much one byte: a git that goes on writing is ended by that.
fn read(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read is missing from the answer, and noticed there.
    let _ = from.map(|from| from.take(most + 1).read_to_end(&mut bytes));
    bytes
}

/// What git said first of what is wrong, behind what whoever it asked said before; without what only git's own
/// users need.
fn complaint(err: &[u8]) -> String {
    let text = String::from_utf8_lossy(err);
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with("warning:"))
        .collect();
    let wrong = |line: &&str| ["fatal: ", "error: "].iter().any(|w| line.starts_with(w));
    let at = said.iter().position(wrong).or(said.len().checked_sub(1));
    let telling = at.map_or(&[][..], |at| &said[at.saturating_sub(1)..=at]);
    let line = match telling.is_empty() {
        true => "it said nothing".to_owned(),
        false => telling
            .join(" ")
            .replace("fatal: ", "")
            .replace("error: ", ""),
    };
    let line: String = line.chars().filter(|c| !c.is_control()).take(400).collect();
    format!("git says: {line}")
}

/// The lines of `ls-tree -z -l`: mode, kind, id, size, path.
fn entries(listed: &[u8]) -> Result<(Vec<String>, Vec<Entry>), String> {
    let mut ids = Vec::new();
    let mut entries = Vec::new();
    for line in listed.split(|b| *b == 0).filter(|l| !l.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let Some((head, path)) = line.split_once('\t') else {
            return Err("git lists something that it does not name".into());
        };
        let mut head = head.split_whitespace();
        let (mode, _, id, bytes) = (head.next(), head.next(), head.next(), head.next());
        let kind = match mode {
            Some("120000") => Kind::Link,
            Some("160000") => Kind::Submodule,
            _ => Kind::File,
        };
        entries.push(Entry {
            path: path.to_owned(),
            kind,
            bytes: bytes.and_then(|b| b.parse().ok()).unwrap_or(0),
        });
        ids.push(id.unwrap_or_default().to_owned());
        if entries.len() > MOST_ENTRIES {
            break;
        }
    }
    Ok((ids, entries))
}

/// The next blob of `cat-file --batch`: a line with its size, its bytes, a newline.
fn blob<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let head = rest.iter().position(|b| *b == b'\n')?;
    let size = std::str::from_utf8(&rest[..head])
        .ok()?
        .rsplit(' ')
        .next()?
        .parse::<usize>()
        .ok()?;
    let from = head + 1;
    let to = from.checked_add(size)?;
    let bytes = rest.get(from..to)?;
    *rest = rest.get(to.checked_add(1)?..)?;
    Some(bytes)
}

/// A folder as git must be told it from elsewhere; addresses stay as they are.
fn absolute(url: &str, root: &Path) -> Result<String, String> {
    if !is_path(url) {
        return Ok(url.to_owned());
    }
    let path = std::path::absolute(root.join(url)).map_err(|e| format!("`{url}`: {e}"))?;
    Ok(path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, words: &[&str]) {
        let done = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(words)
            .current_dir(folder)
            .output()
            .expect("git");
        assert!(
            done.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn left(cache: &Path) -> Vec<String> {
        let all = std::fs::read_dir(cache.join("fetching")).expect("a folder");
        all.map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
    }

    #[test]
    fn a_repository_that_brings_too_much_is_stopped_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (there, cache) = (folder.path().join("there"), folder.path().join("cache"));
        std::fs::create_dir(&there).expect("a folder");
        git(&there, &["init", "-q"]);
        let mut noise = vec![0u8; 3 << 20];
        crate::world::random_bytes(&mut noise);
        std::fs::write(there.join("film.bin"), noise).expect("a file");
        std::fs::write(
            there.join("r5flow.toml"),
            "name = \"a\"\nversion = \"1.0.0\"\n",
        )
        .expect("a file");
        git(&there, &["add", "."]);
        git(&there, &["commit", "-q", "-m", "all"]);
        git(&there, &["tag", "1.0.0"]);
        let get = |download| {
            let limits = Limits {
                download,
                ..Limits::default()
            };
            let url = there.to_str().expect("text");
            let repository = Repository::new(url, folder.path(), &cache, limits)?;
            let refs = repository.refs()?;
            repository.content(&Wanted {
                name: "refs/tags/1.0.0".into(),
                commit: &refs.tags["1.0.0"],
                folder: None,
            })
        };
        let why = get(1 << 20).expect_err("too much");
        assert!(why.contains("more than 1 MiB"), "{why}");
        assert_eq!(get(64 << 20).expect("enough").files().len(), 1);
        assert_eq!(left(&cache), [".door"]);
    }

    /// What git started may hold its pipes for ever; nobody waits for that.
    #[cfg(unix)]
    #[test]
    fn a_git_that_takes_too_long_is_given_up_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            patience: Duration::from_millis(100),
            ..Limits::default()
        };
        let cache = folder.path().join("cache");
        let repository = Repository::new("x", folder.path(), &cache, limits).expect("a place");
        let began = Instant::now();
        let sleeper = Command::new("sh")
            .args(["-c", "sleep 30 & wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let why = repository
            .attend(sleeper, Vec::new())
            .expect_err("too long");
        assert!(why.contains("took longer than"), "{why}");
        assert!(began.elapsed() < Duration::from_secs(30));
        drop(repository);
        assert_eq!(left(&cache), [".door"]);
    }

    #[test]
    fn git_says_what_is_wrong_in_one_line() {
        for (err, told) in [
            ("warning: x\nfatal: no such thing\nmore\n", "no such thing"),
            (
                "a@b: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure\n",
                "a@b: Permission denied (publickey). Could not read from remote repository.",
            ),
            ("one\ntwo\n", "one two"),
            ("warning: x\n", "it said nothing"),
            ("", "it said nothing"),
        ] {
            assert_eq!(complaint(err.as_bytes()), format!("git says: {told}"));
        }
    }
}
