//! Upgrades: what `lib diff`, `lib update` and `resume --edited` tell of another version, and what machines read.

use serde_json::json;

use crate::libraries::{IMAGE, SHOP, published, shop, words};
use crate::library_rig::Machine;

/// A run that has used the library already is told what the upgrade makes of each of its steps.
#[test]
fn a_run_that_used_the_library_is_told_what_the_upgrade_makes_of_it() {
    let machine = Machine::new();
    let library = published(&machine);
    let flow = SHOP.replace("  checkpoint begun\n", "").replace(
        "\n  output",
        "\n  checkpoint begun\n\n  step after = ensure compute.globalAddresses(\"after\", project: project)\n\n  output",
    );
    machine.project("shop", &[("shop.r5flow", &flow)]);
    let add = ["lib", "add", &library.url(), "--version", "=1.0.0"];
    machine.run("shop", &add).ends(0);
    let run = words(&["run", "shop.r5flow", "-y", "--until", "begun"]);
    machine.run("shop", &run).ends(6);
    let before = machine.tree("shop/.r5flow/runs");
    let diff = |new: &str| {
        let diff = words(&[
            "lib",
            "diff",
            "platform-red5@1.0.0",
            new,
            "--in",
            "shop.r5flow",
            "--json",
        ]);
        machine.run("shop", &diff).ends(0).lines()
    };
    let verdict = |lines: &[serde_json::Value], address: &str| {
        let line = lines
            .iter()
            .find(|l| l["kind"] == "verdict" && l["address"] == address);
        line.unwrap_or_else(|| panic!("{address}: {lines:#?}"))["verdict"].clone()
    };
    let same = diff("1.0.1");
    assert_eq!(same[0]["kind"], "lib diff");
    assert!(!same.iter().any(|l| l["kind"] == "step"), "{same:#?}");
    for address in ["before", "taken/address", "taken/second"] {
        assert_eq!(verdict(&same, address), "keep");
    }
    let last = same.last().expect("a line");
    assert_eq!(
        (&last["kind"], &last["outlook"]),
        (&json!("run"), &json!("goes"))
    );
    let other = diff("1.1.0");
    assert_eq!(verdict(&other, "taken/second"), "keep");
    assert_ne!(verdict(&other, "taken/address"), "keep");
    let step = |address: &str| {
        let mut all = other.iter();
        all.find(|l| l["kind"] == "step" && l["address"] == address)
            .expect("a step")
    };
    assert_eq!(step("after")["new"], "not reached");
    let step = step("taken/address");
    assert_eq!(step["old"], "adopt");
    let fails = step["new"].as_str().unwrap_or_default();
    assert!(
        fails.starts_with("fails: what is there differs: `description` is \"of shop\""),
        "{step}"
    );
    // Looking changed nothing of the run.
    assert_eq!(machine.tree("shop/.r5flow/runs"), before);
    // An edited resume takes what the lock says now.
    machine
        .run(
            "shop",
            &["lib", "add", &library.url(), "--version", "=1.0.1"],
        )
        .ends(0);
    machine
        .run("shop", &["resume", "--edited", "-y"])
        .ends(0)
        .says("5 steps: 4 keep, 1 new");
}

/// What fails is told, and the project stays as it is.
#[test]
fn versions_that_cannot_be_compared() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    let diff = |old: &str, new: &str| {
        let words = words(&["lib", "diff", old, new, "--in", "shop.r5flow"]);
        machine.run("shop", &words)
    };
    diff("1.0.0", "1.1.0")
        .ends(64)
        .says("`1.0.0` names no library and version");
    diff("platform-red5@1.0.0", "other@1.1.0")
        .ends(64)
        .says("are two libraries");
    diff("platform-red5@1.0", "1.1.0")
        .ends(64)
        .says("`1.0` is no version");
    diff("nobody@1.0.0", "1.1.0")
        .ends(64)
        .says("needs no library `nobody`");
    diff("platform-red5@1.0.0", "3.0.0")
        .ends(1)
        .says("this project asks for =3.0.0; there are 1.0.0");
    machine
        .run("shop", &["lib", "update", "platform-red"])
        .ends(64)
        .says("did you mean `platform-red5`?");
}

#[test]
fn a_kept_plan_tells_when_a_library_moved_on() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    let plan = words(&["plan", "shop.r5flow", "--out", "p.json"]);
    machine.run("shop", &plan).ends(0);
    machine.run("shop", &["lib", "update"]).ends(0);
    machine
        .run("shop", &["run", "p.json"])
        .ends(7)
        .says("`lib:platform-red5/image.r5flow` changed after this plan was made");
}

#[test]
fn a_secret_is_not_shown_by_a_diff() {
    let machine = Machine::new();
    let library = machine.library("platform-red5", "");
    let keeps = |word: &str| {
        format!(
            "workflow keep {{\n  input project: string\n  secret input key: string\n  at {{ project }}\n  \
             step a = ensure compute.globalAddresses(\"a\") {{ description: \"{word} ${{key}}\" }}\n}}\n"
        )
    };
    for (version, word) in [("1.0.0", "with"), ("1.1.0", "by")] {
        library.version(version, &keeps(word));
        library.publish(version);
    }
    let flow = "use platform-red5/image { keep }\n\nworkflow shop {\n  input project: string\n  secret input key: string\n  \
                step kept = run keep { project, key }\n}\n";
    machine.project("shop", &[("shop.r5flow", flow)]);
    machine
        .run("shop", &["lib", "add", &library.url(), "--version", "^1"])
        .ends(0);
    let diff = words(&[
        "lib",
        "diff",
        "platform-red5@1.0.0",
        "1.1.0",
        "--in",
        "shop.r5flow",
    ]);
    machine
        .run_with("shop", &diff, &[("R5FLOW_INPUT_KEY", "sesame-street")])
        .ends(0)
        .says("kept/a: changes description: \"with •••\" → \"by •••\"")
        .never_has("sesame");
}

/// What a machine reads of libraries.
#[test]
fn libraries_as_json() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    let listed = machine
        .run("shop", &["lib", "list", "--json"])
        .ends(0)
        .lines();
    assert_eq!(listed[0], json!({ "format": 1, "kind": "lib list" }));
    let row = &listed[1];
    assert_eq!(
        (&row["name"], &row["version"], &row["direct"]),
        (&json!("platform-red5"), &json!("1.0.0"), &json!(true))
    );
    assert_eq!(row["exports"][0]["module"], "image");
    assert_eq!(
        row["exports"][0]["offers"][0]["signature"],
        "workflow reserve(project: string, team: string) → name"
    );
    let verified = |code: i32| {
        let mut lines = machine
            .run("shop", &["lib", "verify", "--json"])
            .ends(code)
            .lines();
        assert_eq!(lines[0], json!({ "format": 1, "kind": "lib verify" }));
        lines.remove(1)
    };
    assert_eq!(
        verified(0),
        json!({ "kind": "library", "name": "platform-red5", "version": "1.0.0", "good": true, "wrong": null, "note": null })
    );
    let copies = machine
        .run("shop", &["lib", "vendor", "--json"])
        .ends(0)
        .lines();
    assert_eq!(
        copies[1],
        json!({ "kind": "copies", "folder": "vendor/r5flow", "libraries": 1, "files": 4 })
    );
    let updated = machine
        .run("shop", &["lib", "update", "--json"])
        .ends(0)
        .lines();
    let kinds: Vec<&str> = updated.iter().filter_map(|l| l["kind"].as_str()).collect();
    assert_eq!(kinds, ["lib update", "library", "passed over", "copies"]);
    assert_eq!(
        (
            &updated[1]["old"],
            &updated[1]["new"],
            &updated[2]["version"]
        ),
        (&json!("1.0.0"), &json!("1.1.0"), &json!("2.0.0"))
    );
    let removed = machine
        .run("shop", &["lib", "remove", "platform-red5", "--json"])
        .ends(0)
        .lines();
    assert_eq!(
        (&removed[1]["old"], &removed[1]["new"]),
        (&json!("1.1.0"), &json!(null))
    );
    let add = ["lib", "add", &library.url(), "--version", "^1", "--json"];
    let added = machine.run("shop", &add).ends(0).lines();
    assert_eq!(
        (&added[0]["kind"], &added[1]["name"]),
        (&json!("lib add"), &json!("platform-red5"))
    );
    machine.run("shop", &["lib", "vendor"]).ends(0);
    let lock = machine.read("shop/r5flow.lock");
    machine.write(
        "shop/r5flow.lock",
        &lock.replace("compute = \"", "compute = \"1"),
    );
    let lines = machine
        .run("shop", &["lib", "verify", "--json"])
        .ends(0)
        .lines();
    assert_eq!(
        (&lines[2]["kind"], &lines[2]["service"]),
        (&json!("catalog"), &json!("compute"))
    );
    machine.write("shop/r5flow.lock", "format = 1\n");
    let missing = verified(1);
    assert_eq!(missing["good"], false);
    assert!(
        missing["wrong"]
            .as_str()
            .is_some_and(|why| why.contains("is not in `r5flow.lock`"))
    );
    let listed = machine
        .run("shop", &["lib", "list", "--json"])
        .ends(0)
        .lines();
    assert_eq!(listed[1]["version"], json!(null));
}

/// An upgrade with which the flow has errors has no plan; what becomes of runs is told all the same.
#[test]
fn a_version_that_the_flow_does_not_suit() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    library.version(
        "3.0.0",
        &IMAGE
            .replace("input team", "input crew")
            .replace("{team}", "{crew}")
            .replace("(team)", "(crew)"),
    );
    library.publish("3.0.0");
    machine
        .run(
            "shop",
            &words(&["run", "shop.r5flow", "-y", "--until", "begun"]),
        )
        .ends(6);
    let diff = |more: &[&str]| {
        let diff = [
            "lib",
            "diff",
            "platform-red5@1.0.0",
            "3.0.0",
            "--in",
            "shop.r5flow",
        ];
        machine
            .run("shop", &words(&[&diff[..], more].concat()))
            .ends(3)
    };
    diff(&[])
        .says("`reserve` has no input `team`")
        .says("it cannot go on with it before the flow is changed; r5flow resume")
        .says("with platform-red5 3.0.0 the flow has the errors above");
    let lines = diff(&["--json"]).lines();
    let kinds: Vec<&str> = lines.iter().filter_map(|l| l["kind"].as_str()).collect();
    assert_eq!(kinds, ["lib diff", "run", "error"]);
    assert_eq!(
        (&lines[0]["format"], &lines[1]["outlook"]),
        (&json!(1), &json!("errors"))
    );
    // A flow that suits the new version already has no plan with the old one.
    machine.write(
        "shop/shop.r5flow",
        &SHOP.replace("team: \"shop\"", "crew: \"shop\""),
    );
    diff(&[])
        .says("with platform-red5 1.0.0 the flow has the errors above")
        .says("it can go on with it, once the project has that version");
}

#[test]
fn an_update_tells_what_it_passed_over_and_what_else_is_to_do() {
    let machine = Machine::new();
    let library = published(&machine);
    shop(&machine, &library);
    library.version("3.0.0-rc.1", IMAGE);
    library.publish("3.0.0-rc.1");
    machine.run("shop", &["lib", "vendor"]).ends(0);
    machine
        .run("shop", &["lib", "update"])
        .ends(0)
        .out_has("platform-red5 1.0.0 → 1.1.0\n")
        .err_has("note: platform-red5 2.0.0 is passed over: this project asks for ^1\n")
        .err_has("`r5flow lib vendor` writes them anew")
        .never_has("rc.1");
    machine.run("shop", &["lib", "vendor"]).ends(0);
    machine
        .run("shop", &["lib", "update"])
        .ends(0)
        .never_has("writes them anew");
    machine
        .run("shop", &["lib", "add", &library.url(), "--version", "^1.1"])
        .ends(0)
        .out_has("`r5flow.toml` says so now, and the libraries stay as they are\n");
}
