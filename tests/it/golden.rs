//! Journals of earlier versions, kept for ever: each is imported, shown, and resumed as far as it can be.
//!
//! `R5FLOW_UPDATE=1 cargo test --test it golden` makes the files that are missing, and leaves alone
//! those that are there.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::harness::Folder;

/// How a run came to be what its file holds.
struct Golden {
    name: &'static str,
    flow: &'static str,
    /// Of `r5flow run`, besides the flow and `--yes`.
    words: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    /// As `r5flow runs` says.
    status: &'static str,
    /// What the list of its steps says, among other things.
    shows: &'static [&'static str],
    /// How `resume --take-over` ends, and what it prints.
    resumes: (i32, &'static str),
}

const SIM: &[&str] = &["--sim"];

const ADDRESSES: &str = "workflow addresses {
  at { project: \"demo\" }
  step one = ensure compute.globalAddresses(\"one\")
  step two = ensure compute.globalAddresses(\"two\") { description: one.name }
  output said = two.description
}
";

const ALL: &[Golden] = &[
    Golden {
        name: "finished",
        flow: ADDRESSES,
        words: SIM,
        env: &[],
        status: "done",
        shows: &[
            "one",
            "created",
            "compute.globalAddresses.insert",
            "said = \"one\"",
        ],
        resumes: (0, "said = \"one\""),
    },
    Golden {
        name: "open-intent",
        flow: ADDRESSES,
        words: SIM,
        env: &[(
            "R5FLOW_FAILPOINT",
            "intent-durable:compute.globalAddresses.insert",
        )],
        status: "not ended",
        shows: &["compute.globalAddresses.insert (nothing is known of its answer)"],
        resumes: (0, "said = \"one\""),
    },
    Golden {
        name: "gate",
        flow: "workflow gate {
  step yes = approve \"May it go on?\"
  output by = yes.by
}
",
        words: &["--endpoint", "compute=http://127.0.0.1:9"],
        env: &[],
        status: "paused",
        shows: &["asked: May it go on?", "waits for `r5flow approve"],
        resumes: (6, ""),
    },
    Golden {
        name: "failed",
        flow: "workflow failed {
  at { project: \"demo\" }
  step one = ensure compute.globalAddresses(\"one\")
  assert one.name == \"two\" else \"one is not two\"
}
",
        words: SIM,
        env: &[],
        status: "failed",
        shows: &["one is not two"],
        resumes: (1, ""),
    },
    Golden {
        name: "growth",
        flow: "workflow growth {
  at { project: \"demo\" }
  step all = read compute.regions.list()
  for region in [r.name for r in all.items where r.name != \"us-east1\"] limit 1 {
    step address = ensure compute.addresses(\"a\", region: region) {}
  }
  checkpoint half
  if len(all.items) > 2 {
    step more = ensure compute.addresses(\"more\", region: \"us-central1\") {}
  }
  output name = more?.name
}
",
        words: &["--sim", "--until", "half"],
        env: &[],
        status: "paused",
        shows: &["address[\"us-central1\"]", "created"],
        resumes: (0, "name = \"more\""),
    },
    Golden {
        name: "hooks",
        flow: "hook twice(n: int) -> int = \"\"\"rhai
  n * 2
  \"\"\"

workflow hooks {
  step four = hook twice(2)
  let eight = twice(four)
  step pause = wait 1s
    after four
  checkpoint half
  step sixteen = hook twice(eight)
  output sixteen = sixteen
}
",
        words: &["--sim", "--until", "half"],
        env: &[],
        status: "paused",
        shows: &["four", "computed", "pause", "waited"],
        resumes: (0, "sixteen = 16"),
    },
    Golden {
        name: "secrets",
        flow: "workflow secrets {
  secret input password: string
  at { project: \"demo\" }
  step one = ensure compute.globalAddresses(\"one\") { description: \"it is ${password}\" }
  checkpoint half
  step two = ensure compute.globalAddresses(\"two\")
  output name = two.name
}
",
        words: &["--sim", "--until", "half"],
        env: &[("R5FLOW_INPUT_PASSWORD", "Canary-71c3-Tangerine")],
        status: "paused",
        shows: &["one", "created"],
        // Without the key that sealed it nobody can tell whether it is the same secret.
        resumes: (7, ""),
    },
];

fn file(golden: &Golden) -> PathBuf {
    Path::new("tests/golden").join(format!("{}.r5run", golden.name))
}

fn only_run(folder: &Folder) -> Json {
    let list = folder.run(&["runs", "--json"]).ends(0).lines();
    assert_eq!(list.len(), 2, "{list:?}");
    list[1].clone()
}

fn make(golden: &Golden) {
    let folder = Folder::new(&[("flow.r5flow", golden.flow)]);
    let words = [&["run", "flow.r5flow", "--yes"], golden.words].concat();
    let mut command = folder.command(&words);
    let output = command
        .envs(golden.env.iter().copied())
        .output()
        .expect("the binary");
    let run = only_run(&folder);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(run["status"], golden.status, "{}: {told}", golden.name);
    let id = run["id"].as_str().expect("an id");
    let text = folder.run(&["runs", "export", id]).ends(0).out;
    std::fs::create_dir_all("tests/golden").expect("a folder");
    std::fs::write(file(golden), text).expect("a file");
}

#[test]
fn every_golden_journal_is_read_shown_and_resumed() {
    for golden in ALL {
        let path = file(golden);
        if !path.exists() && std::env::var_os("R5FLOW_UPDATE").is_some() {
            make(golden);
        }
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; make it with R5FLOW_UPDATE=1", path.display()));
        let folder = Folder::new(&[("golden.r5run", &text)]);
        let _ = folder.run(&["runs", "import", "golden.r5run"]).ends(0);
        let run = only_run(&folder);
        assert_eq!(run["status"], golden.status, "{}", golden.name);
        let id = run["id"].as_str().expect("an id");
        let shown = folder.run(&["runs", id]).ends(0).out;
        for part in golden.shows {
            assert!(
                shown.contains(part),
                "{}: no {part:?} in\n{shown}",
                golden.name
            );
        }
        // A run that is done is not gone on with, here or elsewhere.
        let (code, out) = golden.resumes;
        if golden.status != "done" {
            let plain = folder.run_with(&["resume", "-y"], golden.env_again(), "");
            let _ = plain.ends(7);
        }
        let over = folder.run_with(&["resume", "-y", "--take-over"], golden.env_again(), "");
        let _ = over.ends(code).out_has(out);
        // What one version exported, the next exports again, but for what was added.
        let again = folder.run(&["runs", "export", id]).ends(0).out;
        let entries = text.lines().count() - 1;
        let same = |text: &str| {
            text.lines()
                .skip(1)
                .take(entries)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(same(&again), same(&text), "{}", golden.name);
    }
}

impl Golden {
    /// What a resumed run is given: the secrets, and nothing that kills it.
    fn env_again(&self) -> &'static [(&'static str, &'static str)] {
        match self.env {
            [("R5FLOW_FAILPOINT", _)] => &[],
            env => env,
        }
    }
}

#[test]
fn no_file_of_the_folder_is_forgotten() {
    for entry in std::fs::read_dir("tests/golden").expect("the golden journals") {
        let path = entry.expect("an entry").path();
        assert!(ALL.iter().any(|g| file(g) == path), "{}", path.display());
    }
}
