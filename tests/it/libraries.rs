//! Libraries that teams share: published, used, updated, compared, vendored, and outlived by runs.

use crate::library_rig::{Machine, Published, manifest};

/// What the platform team publishes.
pub const IMAGE: &str = "use ./names { full }

/// Reserves an address for a team.
workflow reserve {
  input project: string
  /// The team's short name.
  input team: string

  at { project }

  let called = full(team)

  step address = ensure compute.globalAddresses(called) { description: \"of ${team}\" }
  step second = ensure compute.globalAddresses(\"${called}-2\") { description: \"second\" }

  output name = address.name
}
";

const NAMES: &str = "hook full(team: string) -> string from \"hooks/full.rhai\"\n";

/// What the product team writes.
pub const SHOP: &str = "use platform-red5/image { reserve }

workflow shop {
  input project: string

  step before = ensure compute.globalAddresses(\"before\", project: project)

  checkpoint begun

  step taken = run reserve { project, team: \"shop\" }

  output name = taken.name
}
";

const SIM: [&str; 3] = ["--sim", "--input", "project=demo"];

pub fn published(machine: &Machine) -> Published<'_> {
    let library = machine.library("platform-red5", "");
    library.write("names.r5flow", NAMES);
    library.write("hooks/full.rhai", "\"r5-\" + team\n");
    library.version("1.0.0", IMAGE);
    library.publish("1.0.0");
    let renamed = IMAGE.replace("called", "label");
    let (first, second) = (
        "  step address = ensure compute.globalAddresses(label) { description: \"of ${team}\" }\n",
        "  step second = ensure compute.globalAddresses(\"${label}-2\") { description: \"second\" }\n",
    );
    assert!(renamed.contains(&format!("{first}{second}")));
    let reordered = renamed.replace(&format!("{first}{second}"), &format!("{second}{first}"));
    library.version("1.0.1", &reordered);
    library.publish("1.0.1");
    library.version(
        "1.1.0",
        &reordered.replace("\"of ${team}\"", "\"for ${team}, by ${len(team)}\""),
    );
    library.publish("1.1.0");
    library.version("2.0.0", &reordered.replace("-2", "-b"));
    library.publish("2.0.0");
    library
}

pub fn shop(machine: &Machine, library: &Published<'_>) {
    machine.project("shop", &[("shop.r5flow", SHOP)]);
    let words = ["lib", "add", &library.url(), "--version", "^1"];
    machine
        .run("shop", &words)
        .ends(0)
        .says("added platform-red5 1.0.0 from ");
}

pub fn words<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &SIM].concat()
}

/// The script of two teams, from the first publication to a run that outlives everything.
#[test]
fn two_teams() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    machine.run("shop", &["check", "shop.r5flow"]).ends(0);
    machine
        .run("shop", &["lib", "list"])
        .ends(0)
        .says("platform-red5 1.0.0: ")
        .says(
            "  use platform-red5/image\n    workflow reserve(project: string, team: string) → name\n      Reserves an address for a \
             team.\n",
        );

    // A run begins with 1.0.0, and stops in the middle.
    machine
        .run(
            "shop",
            &words(&["run", "shop.r5flow", "-y", "--until", "begun"]),
        )
        .ends(6);
    let lines = machine.run("shop", &["runs", "--json"]).ends(0).lines();
    let run = lines[1]["id"].as_str().expect("an id").to_owned();

    // The diff tells the computed field, on its step, and what the run would make of it.
    let diff = |old: &str, new: &str| {
        let old = format!("platform-red5@{old}");
        machine
            .run(
                "shop",
                &words(&["lib", "diff", &old, new, "--in", "shop.r5flow"]),
            )
            .ends(0)
    };
    diff("1.0.0", "1.0.1")
        .says("platform-red5 1.0.1 instead of platform-red5 1.0.0:\n  nothing changes\n");
    diff("1.0.0", "1.1.0")
        .says("  taken/address: changes\n      description: \"of shop\" → \"for shop, by 4\"\n  1 step differently\n")
        .says(&format!("r5flow resume {run} --edited"));
    diff("1.0.0", "platform-red5@2.0.0")
        .says("taken/second")
        .says("\"r5-shop-2\" → \"r5-shop-b\"");

    // The update stays within ^1, and the plan is the new one.
    machine
        .run("shop", &["lib", "update"])
        .ends(0)
        .says("platform-red5 1.0.0 → 1.1.0\n");
    machine
        .run("shop", &["lib", "update"])
        .ends(0)
        .says("nothing changes\n");
    let plan = machine
        .run("shop", &words(&["plan", "shop.r5flow", "--json"]))
        .ends(0);
    assert!(plan.out.contains("for shop, by 4"), "{}", plan.out);

    // With its own copies the project needs neither the cache nor anybody.
    machine
        .run("shop", &["lib", "vendor"])
        .ends(0)
        .says("1 library, 4 files, in vendor/r5flow");
    machine.remove("cache");
    std::fs::rename(machine.path("repositories"), machine.path("gone")).expect("away");
    let offline = machine
        .run("shop", &words(&["plan", "shop.r5flow", "--json"]))
        .ends(0);
    assert_eq!(offline.out, plan.out);
    machine
        .run("shop", &["lib", "verify"])
        .ends(0)
        .says("its source was not asked");

    // The run goes on with what it stored: library, copies, lock and manifest are gone.
    for file in [
        "shop/vendor",
        "shop/r5flow.lock",
        "shop/r5flow.toml",
        "work",
        "gone",
    ] {
        machine.remove(file);
    }
    machine
        .run("shop", &["check", "shop.r5flow"])
        .ends(3)
        .says("R0801");
    machine.run("shop", &["resume", &run, "-y"]).ends(0);
    let detail = machine.run("shop", &["runs", &run, "--json"]).ends(0);
    assert!(detail.out.contains("of shop"), "{}", detail.out);
    assert!(!detail.out.contains("for shop"), "{}", detail.out);
}

#[test]
fn offline_after_the_first_fetch() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    machine.remove("repositories");
    machine.run("shop", &["check", "shop.r5flow"]).ends(0);
    machine.remove("cache");
    machine
        .run("shop", &["check", "shop.r5flow"])
        .ends(3)
        .says("R1101")
        .says("the library `platform-red5` cannot be used")
        .says("git says:");
}

#[test]
fn the_same_lock_gives_the_same_bytes() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    for copy in ["one", "other/deeper"] {
        for file in ["shop.r5flow", "r5flow.toml", "r5flow.lock"] {
            machine.write(
                &format!("{copy}/{file}"),
                &machine.read(&format!("shop/{file}")),
            );
        }
    }
    // The newest version is another one, and nobody takes it.
    let plan = |folder: &str, cache: &str| {
        let cache = machine.path(cache).display().to_string();
        let words = words(&["plan", "shop.r5flow", "--json"]);
        machine
            .run_with(folder, &words, &[("R5FLOW_CACHE", &cache)])
            .ends(0)
            .out
    };
    let first = plan("one", "cache");
    assert_eq!(first, plan("other/deeper", "another-cache"));
    assert!(first.contains("of shop"), "{first}");
    // What is kept of it holds on the other checkout, too.
    machine
        .run(
            "one",
            &words(&["plan", "shop.r5flow", "--out", "../p.json"]),
        )
        .ends(0);
    assert!(
        machine
            .read("p.json")
            .contains("lib:platform-red5/image.r5flow")
    );
}

#[test]
fn only_what_is_exported_can_be_used() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    let check = |text: &str| {
        machine.write("shop/x.r5flow", text);
        machine.run("shop", &["check", "x.r5flow"]).ends(3)
    };
    check("use platform-red5/names { full }\n")
        .says("R1102")
        .says("`platform-red5` does not export `platform-red5/names`")
        .says("it exports `image`");
    check("use platform-red5/imag { reserve }\n").says("did you mean `platform-red5/image`?");
    check("use platform-red/image { reserve }\n")
        .says("R0801")
        .says("`platform-red` is no library");
    check("use platform-red5/image { full }\n").says("R0202");
    for words in [
        &[
            "run",
            "lib:platform-red5/image.r5flow",
            "reserve",
            "-y",
            "--sim",
        ][..],
        &["check", "lib:platform-red5/names.r5flow"],
        &["graph", "lib:platform-red5/names.r5flow"],
    ] {
        machine
            .run("shop", words)
            .ends(64)
            .says("is a module of a library, which is used and not run");
    }
    check("hook h(a: int) -> int from \"lib:platform-red5/hooks/full.rhai\"\n").says("R1103");
    let run = "use platform-red5/image { reserve }\nworkflow w {\n  step a = run reserve { project: \"demo\", team: 5 }\n}\n";
    check(run).says("R0301");
}

#[test]
fn a_library_sees_only_what_it_is_given() {
    let machine = Machine::new();
    let library = machine.library("platform-red5", "");
    let spy = "workflow spy {\n  input project: string\n  output seen = password\n}\n\n\
               workflow asks {\n  input password: string\n  output seen = password\n}\n";
    library.version("1.0.0", spy);
    library.publish("1.0.0");
    machine.project("shop", &[]);
    machine.run("shop", &["lib", "add", &library.url()]).ends(0);
    let flow = "use platform-red5/image { spy, asks }\n\nworkflow shop {\n  secret input password: string\n  \
                step a = run spy { project: \"demo\" }\n  step b = run asks { password }\n}\n";
    machine.write("shop/x.r5flow", flow);
    machine
        .run("shop", &["check", "x.r5flow"])
        .ends(3)
        .says("lib:platform-red5/image.r5flow:3:")
        .says("R0202")
        .says("R0311");
}

#[test]
fn libraries_need_libraries_by_their_own_manifests() {
    let machine = Machine::new();
    let base = machine.library("base", "");
    base.version("1.0.0", "let word = \"base\"\n");
    base.publish("v1.0.0");
    base.version("1.1.0", "let word = \"newer\"\n");
    base.publish("v1.1.0");
    let middle = machine.library("middle", "");
    let needs = format!(
        "[dependencies]\nbase = {{ git = \"{}\", version = \"^1\" }}\n",
        base.url()
    );
    middle.write("r5flow.toml", &manifest("middle", "1.0.0", &needs));
    middle.write(
        "image.r5flow",
        "use base/image { word }\n\nlet said = word\n",
    );
    middle.publish("1.0.0");
    machine.project(
        "shop",
        &[(
            "x.r5flow",
            "use middle/image { said }\n\nworkflow w {\n  output o = said\n}\n",
        )],
    );
    machine
        .run("shop", &["lib", "add", &middle.url()])
        .ends(0)
        .says("added base 1.0.0")
        .says("added middle 1.0.0");
    assert!(
        machine
            .read("shop/r5flow.toml")
            .contains("version = \"^1.0.0\"")
    );
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    machine
        .run("shop", &["lib", "update", "base"])
        .ends(0)
        .says("base 1.0.0 → 1.1.0\n");
    // What another one needs is not for the project.
    machine.write("shop/y.r5flow", "use base/image { word }\n");
    machine
        .run("shop", &["check", "y.r5flow"])
        .ends(3)
        .says("R0801");
    // Nor may a library use what only the project names.
    middle.write("r5flow.toml", &manifest("middle", "1.1.0", ""));
    middle.publish("1.1.0");
    machine.run("shop", &["lib", "add", &base.url()]).ends(0);
    machine
        .run("shop", &["lib", "update", "middle"])
        .ends(0)
        .says("middle 1.0.0 → 1.1.0\n");
    machine
        .run("shop", &["check", "x.r5flow"])
        .ends(3)
        .says("R1104")
        .says("`middle` uses the library `base`, which its `r5flow.toml` does not name");
    machine
        .run("shop", &["lib", "remove", "bose"])
        .ends(64)
        .says("did you mean `base`?");
    machine
        .run("shop", &["lib", "remove", "middle"])
        .ends(0)
        .says("removed middle 1.1.0\n");
    machine
        .run("shop", &["lib", "remove", "base"])
        .ends(0)
        .says("removed base 1.1.0\n");
    assert!(!machine.read("shop/r5flow.lock").contains("[[library]]"));
}

#[test]
fn a_folder_is_taken_as_it_was_locked() {
    let machine = Machine::new();
    machine.write(
        "red/r5flow.toml",
        &manifest(
            "red",
            "1.0.0",
            "[dependencies]\nblue = { path = \"../blue\" }\n",
        ),
    );
    machine.write(
        "red/image.r5flow",
        "use blue/image { word }\n\nlet said = word\n",
    );
    machine.write("blue/r5flow.toml", &manifest("blue", "0.1.0", ""));
    machine.write("blue/image.r5flow", "let word = \"a\"\n");
    machine.project(
        "shop",
        &[(
            "x.r5flow",
            "use red/image { said }\n\nworkflow w {\n  output o = said\n}\n",
        )],
    );
    machine
        .run("shop", &["lib", "add", "../red"])
        .ends(0)
        .says("added blue 0.1.0 from the folder ../blue\n");
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    machine.write("blue/README.md", "not a part of it\n");
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    machine.write("blue/image.r5flow", "let word = \"b\"\n");
    machine
        .run("shop", &["check", "x.r5flow"])
        .ends(3)
        .says("R1101")
        .says("`../blue` changed since it was locked");
    machine
        .run("shop", &["lib", "verify"])
        .ends(1)
        .says("wrong blue")
        .says("good  red 1.0.0");
    machine
        .run("shop", &["lib", "update", "blue"])
        .ends(0)
        .says("blue 0.1.0: another content\n");
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
}

#[test]
fn init_makes_a_project_and_leaves_what_is_there() {
    let machine = Machine::new();
    machine.write("my shop/.gitignore", "target\n");
    machine
        .run("my shop", &["lib", "list"])
        .ends(64)
        .says("r5flow init");
    machine
        .run("my shop", &["init"])
        .ends(0)
        .says("wrote r5flow.toml\nwrote .gitignore\n");
    assert!(
        machine
            .read("my shop/r5flow.toml")
            .starts_with("name = \"my-shop\"\nversion = \"0.1.0\"\n")
    );
    assert_eq!(machine.read("my shop/.gitignore"), "target\n.r5flow/\n");
    machine
        .run("my shop", &["init"])
        .ends(0)
        .says("this is a project already");
    machine.write(
        "old/r5flow.toml",
        "marks = false\n\n[environments.live]\nprotected = true\n",
    );
    machine.run("old", &["init"]).ends(0);
    assert!(
        machine
            .read("old/r5flow.toml")
            .contains("marks = false\nname = \"old\"")
    );
    machine
        .run("old", &["init", "--name", "Red"])
        .ends(64)
        .says("no name of a library");
}
