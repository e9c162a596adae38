//! Where edits, rollbacks, secrets and kept plans meet.

use crate::harness::{Folder, Said, Words};

const OLD: (&str, &str) = ("R5FLOW_INPUT_PASSWORD", "hunter2-of-old");
const NEW: (&str, &str) = ("R5FLOW_INPUT_PASSWORD", "swordfish-of-new");

fn id(folder: &Folder) -> String {
    let runs = folder.run(&["runs", "--json"]).ends(0).lines();
    let newest = runs.iter().find_map(|line| line["id"].as_str());
    newest.expect("a run").to_owned()
}

/// How many disks of these names are in the simulated cloud.
fn disks(folder: &Folder) -> Vec<String> {
    let text = "workflow l {\n  at { project: \"demo\" }\n  step all = read compute.disks.list(zone: \"us-central1-a\")\n  \
                output names = [d.name for d in all.items]\n}\n";
    folder.write("l.r5flow", text);
    let said = folder
        .run(&["run", "l.r5flow", "--sim", "--yes", "--json"])
        .ends(0);
    let last = said.lines().pop().expect("a line");
    let names = last["outputs"]["names"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let names = names.iter().filter_map(|n| n.as_str());
    names
        .filter(|n| n.starts_with("of-"))
        .map(str::to_owned)
        .collect()
}

fn flow(disk: &str, undo: &str) -> String {
    let step = match disk {
        "" => String::new(),
        name => format!(
            "  step disk = call compute.disks.insert(zone: \"us-central1-a\") {{ name: \"{name}\", sizeGb: 10 }}\n    \
             undo {undo}\n"
        ),
    };
    format!(
        "workflow w {{\n  at {{ project: \"demo\" }}\n{step}  checkpoint half\n  step rest = wait 1s\n}}\n"
    )
}

fn edit(folder: &Folder, text: &str, more: &[&str]) -> Said {
    folder.write("w.r5flow", text);
    let words = ["resume", "--edited", "--yes"];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    folder.run(&words)
}

#[test]
fn a_step_that_left_the_flow_and_came_back_is_taken_back_twice() {
    let folder = Folder::new(&[("w.r5flow", &flow("of-one", "delete"))]);
    folder
        .run(&["run", "w.r5flow", "--sim", "--yes", "--until", "half"])
        .ends(6);
    edit(&folder, &flow("", ""), &["--until", "half"]).ends(6);
    edit(&folder, &flow("of-two", "delete"), &[]).ends(0);
    let run = id(&folder);
    assert_eq!(disks(&folder), ["of-one", "of-two"]);
    folder.run(&["rollback", &run, "--yes"]).ends(0);
    assert_eq!(disks(&folder), Vec::<String>::new());
}

#[test]
fn each_beginning_of_a_step_is_taken_back_by_its_own_undo() {
    let by = |name: &str| format!("call compute.disks.delete(\"{name}\", zone: \"us-central1-a\")");
    let folder = Folder::new(&[("w.r5flow", &flow("of-one", &by("of-one")))]);
    folder
        .run(&["run", "w.r5flow", "--sim", "--yes", "--until", "half"])
        .ends(6);
    edit(&folder, &flow("of-two", &by("of-two")), &["--redo", "disk"]).ends(0);
    let run = id(&folder);
    folder.run(&["rollback", &run, "--yes"]).ends(0);
    assert_eq!(disks(&folder), Vec::<String>::new());
}

const WITH_SECRET: &str = "workflow w {
  secret input password: string
  input town: string = \"here\"
  at { project: \"demo\" }
  step a = ensure compute.globalAddresses(\"one\") { description: \"at ${town} with ${password}\" }
    on change replace
  checkpoint half
  step rest = wait 1s
}
";

/// A secret that changed stands in the cloud as it was; nobody is shown it, and it is not recorded.
#[test]
fn what_stands_in_the_place_of_a_secret_is_one() {
    let folder = Folder::new(&[("w.r5flow", WITH_SECRET)]);
    let first = ["run", "w.r5flow", "--sim", "--yes", "--until", "half"];
    folder.run_with(&first, &[OLD], "").ends(6);
    let run = id(&folder);
    let hidden = |said: Words| said.never_has(OLD.1).never_has(NEW.1);
    let plan = folder.run_with(&["plan", "w.r5flow", "--sim", "--json"], &[NEW], "");
    hidden(plan.ends(0));
    let edited = folder
        .run_with(&["resume", &run, "--edited", "--yes"], &[NEW], "")
        .ends(0);
    hidden(edited);
    // The rollback knows the new secret only, and needs no other.
    let back = folder
        .run_with(&["rollback", &run, "--yes"], &[NEW], "")
        .ends(0);
    hidden(back);
    let exported = folder.run(&["runs", "export", &run]).ends(0);
    hidden(exported);
}

#[test]
fn a_plan_that_would_hold_a_secret_is_not_kept() {
    let folder = Folder::new(&[("w.r5flow", WITH_SECRET)]);
    let given = format!("town={}", OLD.1);
    let words = [
        "plan", "w.r5flow", "--sim", "--input", &given, "--out", "p.json",
    ];
    folder.run_with(&words, &[OLD], "").ends(64).err_has(
        "the value of the secret `password` stands in the flow, or in an input that is no secret",
    );
    assert!(!folder.path("p.json").exists());
}
