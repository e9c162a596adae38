//! Plans kept in a file: approved as they are, refused when the flow or the world moved.

use crate::harness::Folder;

const FLOW: &str = "/// One address more than there was.
workflow w {
  input project: string
  input text: string = \"a\"
  secret input token: string

  at { project }

  step address = ensure compute.globalAddresses(\"one\") {
    description: \"${text} since ${run.started}\"
  }
  step other = ensure compute.globalAddresses(\"other\") { description: \"the ${token}\" }

  output description = address.description
}
";

const TOKEN: [(&str, &str); 1] = [("R5FLOW_INPUT_TOKEN", "sesame-street")];

fn planned() -> Folder {
    let folder = Folder::new(&[("w.r5flow", FLOW)]);
    let words = [
        "plan",
        "w.r5flow",
        "--sim",
        "--input",
        "project=demo",
        "--env",
        "blue",
        "--out",
        "p.json",
    ];
    folder.run_with(&words, &TOKEN, "").ends(0);
    folder
}

fn run(folder: &Folder, more: &[&str]) -> crate::harness::Said {
    let words: Vec<&str> = ["run", "p.json"].iter().chain(more).copied().collect();
    folder.run_with(&words, &TOKEN, "")
}

#[test]
fn a_kept_plan_runs_once_without_a_question() {
    let folder = planned();
    assert!(!folder.read("p.json").contains("sesame-street"));
    let said = run(&folder, &["--json"]).ends(0);
    let last = said.lines().pop().expect("a line");
    let description = last["outputs"]["description"].as_str().unwrap_or_default();
    assert!(description.starts_with("a since 20"), "{last}");
    run(&folder, &[]).ends(7).err_has(
        "the world moved after this plan was made: `address` fails now: what is there differs",
    );
}

#[test]
fn what_somebody_else_made_meanwhile_is_told() {
    let folder = planned();
    let other = "workflow o {\n  input project: string\n  at { project }\n  \
                 step address = ensure compute.globalAddresses(\"other\")\n}\n";
    folder.write("o.r5flow", other);
    let words = ["run", "o.r5flow", "--sim", "-y", "--input", "project=demo"];
    folder.run(&words).ends(0);
    run(&folder, &[]).ends(7).err_has("`other`");
}

#[test]
fn comments_and_layout_may_change_and_nothing_else() {
    let folder = planned();
    folder.write("w.r5flow", &FLOW.replace("  at {", "  // here\n\n  at {"));
    run(&folder, &[]).ends(0);
    let folder = planned();
    folder.write("w.r5flow", &FLOW.replace("\"one\"", "\"two\""));
    run(&folder, &[])
        .ends(7)
        .err_has("`w.r5flow` changed after this plan was made");
    folder.run(&["runs"]).ends(0).out_has("no runs yet");
}

#[test]
fn a_plan_keeps_its_inputs_its_world_and_its_environment() {
    let folder = planned();
    run(&folder, &["--input", "text=b"])
        .ends(64)
        .err_has("the inputs are recorded already");
    run(&folder, &["--env", "green"])
        .ends(64)
        .err_has("this plan was made for `blue`");
    run(&folder, &["--endpoint", "http://127.0.0.1:9"])
        .ends(7)
        .err_has("http://127.0.0.1:9");
    folder
        .run(&["run", "p.json"])
        .ends(64)
        .err_has("R5FLOW_INPUT_TOKEN");
    run(&folder, &[]).ends(0);
}

#[test]
fn a_plan_that_fails_is_not_kept_and_a_broken_one_is_no_plan() {
    let folder = planned();
    folder.write(
        "bad.r5flow",
        "workflow b {\n  assert 1 == 2, \"never\"\n}\n",
    );
    folder
        .run(&["plan", "bad.r5flow", "--sim", "--out", "bad.json"])
        .ends(3);
    assert!(!folder.path("bad.json").exists());
    let text = folder.read("p.json");
    for broken in [&text[..text.len() / 2], "{}", "{\"r5flow_plan\": 9}"] {
        folder.write("p.json", broken);
        run(&folder, &[]).ends(64).err_has("this is no saved plan");
    }
}

/// A deletion is counted while there is something to delete, and no longer.
#[test]
fn a_plan_does_not_count_what_is_gone_already() {
    const GONE: &str = "workflow gone {
  input project: string

  at { project }

  step made = ensure compute.globalAddresses(\"kept\")
  step old = call compute.globalAddresses.delete(\"spare\")
}
";
    let spare = GONE
        .replace("\"kept\"", "\"spare\"")
        .lines()
        .filter(|l| !l.contains("delete"))
        .collect::<Vec<_>>()
        .join("\n");
    let f = Folder::new(&[("spare.r5flow", &spare), ("gone.r5flow", GONE)]);
    let plan = ["plan", "gone.r5flow", "--sim", "--input", "project=demo"];
    f.run(&plan)
        .ends(0)
        .out_has("1 to create, 1 as wished already")
        .out_has("it is gone already")
        .never_has("to delete");
    let sim = ["--sim", "--yes", "--input", "project=demo"];
    f.run(&[&["run", "spare.r5flow"], &sim[..]].concat())
        .ends(0);
    f.run(&plan)
        .ends(0)
        .out_has("1 to create, 1 to delete")
        .never_has("it is gone already");
    f.run(&[&["run", "gone.r5flow"], &sim[..]].concat()).ends(0);
    f.run(&[&plan[..], &["--detailed-exitcode"]].concat())
        .ends(0)
        .out_has("nothing to change: 2 as wished already");
}
