//! What a library, its repository, its copies or its address could be made to do, and does not.
//!
//! Every attack is tried on every way: a project that adds the library, one that updates it, one that keeps
//! copies, and a run under way. Each is refused in words, and nothing outside of the cache changes.

use crate::library_rig::{Machine, Published, WORD, manifest, prepared, refused, the_run_goes_on};

/// A bad version 1.1.0: nobody takes it, and those who have 1.0.0 keep it.
#[track_caller]
fn a_bad_version(machine: &Machine, library: &Published<'_>, told: &str) {
    let url = library.url();
    refused(
        machine,
        "fresh",
        &["lib", "add", &url, "--version", "=1.1.0"],
        1,
    )
    .says(told);
    refused(machine, "fresh", &["lib", "add", &url, "--tag", "1.1.0"], 1).says(told);
    refused(machine, "shop", &["lib", "update"], 1).says(told);
    let words = [
        "lib",
        "diff",
        "red@1.0.0",
        "1.1.0",
        "--in",
        "x.r5flow",
        "--sim",
        "--input",
        "project=demo",
    ];
    refused(machine, "shop", &words, 1).says(told);
    // Whoever writes it into the lock by hand gets no further.
    let good = machine.read("shop/r5flow.lock");
    machine.write("shop/r5flow.lock", &by_hand(&good, library, "1.1.0"));
    for words in [&["lib", "vendor"][..], &["lib", "verify"]] {
        refused(machine, "shop", words, 1).says(told);
    }
    refused(machine, "shop", &["check", "x.r5flow"], 3)
        .says("R1101")
        .says(told);
    refused(machine, "shop", &["resume", "--edited", "-y"], 3).says(told);
    machine.write("shop/r5flow.lock", &good);
    machine.run("shop", &["lib", "vendor"]).ends(0);
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    the_run_goes_on(machine);
}

/// The lock with another version of the library, whose hash nobody knows.
fn by_hand(lock: &str, library: &Published<'_>, tag: &str) -> String {
    let commit = library.git(&["rev-parse", &format!("{tag}^{{commit}}")]);
    let line = |line: &str| match line.split_once(" = ").map_or("", |(name, _)| name) {
        "version" => format!("version = \"{tag}\"\n"),
        "ref" => format!("ref = \"{tag}\"\n"),
        "revision" => format!("revision = \"{commit}\"\n"),
        "content" => format!("content = \"blake3:{}\"\n", "0".repeat(64)),
        _ => format!("{line}\n"),
    };
    lock.lines().map(line).collect()
}

/// A tree of objects, as no honest git would write it, tagged 1.1.0.
fn forged(machine: &Machine, library: &Published<'_>, entries: &[(&str, &str, &str)]) {
    let work = library.work();
    library.version("1.1.0", WORD);
    library.commit("1.1.0");
    let mut lines = library.git(&["ls-tree", "HEAD"]);
    for (mode, name, text) in entries {
        let id = match *mode {
            "160000" => "1".repeat(40),
            "040000" => {
                let blob = machine.git_with(&work, &["hash-object", "-w", "--stdin"], text);
                machine.git_with(
                    &work,
                    &["mktree"],
                    &format!("100644 blob {blob}\timage.r5flow\n"),
                )
            }
            _ => machine.git_with(&work, &["hash-object", "-w", "--stdin"], text),
        };
        let kind = match *mode {
            "160000" => "commit",
            "040000" => "tree",
            _ => "blob",
        };
        lines.push_str(&format!("\n{mode} {kind} {id}\t{name}"));
    }
    let tree = machine.git_with(&work, &["mktree", "--missing"], &format!("{lines}\n"));
    let commit = library.git(&["commit-tree", &tree, "-m", "forged"]);
    library.git(&["tag", "-f", "1.1.0", &commit]);
    library.push();
}

#[test]
fn a_moved_tag() {
    let machine = Machine::new();
    let library = prepared(&machine);
    library.write("image.r5flow", "let word = \"evil\"\n");
    library.publish("1.0.0");
    let told = "the tag 1.0.0 of ";
    let url = library.url();
    refused(&machine, "shop", &["lib", "update"], 1)
        .says(told)
        .says("was moved");
    refused(
        &machine,
        "shop",
        &["lib", "add", &url, "--version", "^1"],
        1,
    )
    .says(told);
    refused(&machine, "shop", &["lib", "verify"], 1)
        .says(told)
        .says("was moved");
    // What is here already is the version that was published first.
    refused(&machine, "shop", &["check", "x.r5flow"], 0);
    machine.remove("cache");
    refused(&machine, "shop", &["check", "x.r5flow"], 3)
        .says("R1101")
        .says("was moved");
    refused(&machine, "shop", &["lib", "vendor"], 1).says(told);
    refused(&machine, "shop", &["resume", "--edited", "-y"], 3).says("R1101");
    the_run_goes_on(&machine);
}

#[test]
fn a_tag_that_is_gone() {
    let machine = Machine::new();
    let library = prepared(&machine);
    machine.git("repositories/red.git", &["tag", "-d", "1.0.0"]);
    refused(&machine, "shop", &["lib", "update"], 1).says("is gone");
    refused(&machine, "fresh", &["lib", "add", &library.url()], 1).says("no tag is a version");
    the_run_goes_on(&machine);
}

#[test]
fn an_edited_cache() {
    let machine = Machine::new();
    let library = prepared(&machine);
    let copies = machine.tree("cache/libraries");
    let (file, bytes) = copies
        .iter()
        .find(|(path, _)| path.is_file())
        .expect("a copy");
    let text = String::from_utf8(bytes.clone()).expect("text");
    std::fs::write(file, text.replace("one", "two")).expect("written");
    let told = "the copy in the cache was changed";
    refused(&machine, "shop", &["check", "x.r5flow"], 3)
        .says("R1101")
        .says(told);
    refused(&machine, "shop", &["lib", "vendor"], 1).says(told);
    refused(&machine, "shop", &["lib", "verify"], 1).says(told);
    refused(&machine, "shop", &["lib", "update"], 1).says(told);
    refused(
        &machine,
        "shop",
        &["lib", "add", &library.url(), "--version", "^1"],
        1,
    )
    .says(told);
    refused(&machine, "shop", &["resume", "--edited", "-y"], 3).says(told);
    the_run_goes_on(&machine);
    // As the message says: without that copy it is fetched again.
    std::fs::remove_file(file).expect("removed");
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
}

#[test]
fn an_edited_copy_of_the_project() {
    let machine = Machine::new();
    prepared(&machine);
    machine.run("shop", &["lib", "vendor"]).ends(0);
    machine.write(
        "shop/vendor/r5flow/red/image.r5flow",
        "let word = \"evil\"\n",
    );
    refused(&machine, "shop", &["check", "x.r5flow"], 3)
        .says("R1101")
        .says("is not what `r5flow.lock` says");
    refused(&machine, "shop", &["lib", "verify"], 1).says("wrong red");
    the_run_goes_on(&machine);
    machine.run("shop", &["lib", "vendor"]).ends(0);
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
}

#[cfg(unix)]
#[test]
fn copies_that_would_leave_the_project_by_a_link() {
    let machine = Machine::new();
    prepared(&machine);
    machine.write("elsewhere/precious", "");
    std::os::unix::fs::symlink(machine.path("elsewhere"), machine.path("shop/vendor"))
        .expect("a link");
    refused(&machine, "shop", &["lib", "vendor"], 1).says("is a symbolic link");
    the_run_goes_on(&machine);
}

/// A pipe in a folder is not read, which would never end.
#[cfg(unix)]
#[test]
fn a_folder_with_a_pipe_in_it() {
    let machine = Machine::new();
    machine.project("shop", &[]);
    machine.write("red/r5flow.toml", &manifest("red", "1.0.0", ""));
    machine.write("red/image.r5flow", WORD);
    let pipe = |name: &str| {
        let path = machine.path(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo").success());
    };
    pipe("red/socket");
    machine.run("shop", &["lib", "add", "../red"]).ends(0);
    pipe("red/pipe.r5flow");
    for words in [
        &["lib", "update"][..],
        &["lib", "vendor"],
        &["lib", "add", "../red"],
    ] {
        refused(&machine, "shop", words, 1).says("`pipe.r5flow` is no plain file");
    }
}

#[test]
fn a_symbolic_link_out_of_the_library() {
    let machine = Machine::new();
    let library = prepared(&machine);
    forged(
        &machine,
        &library,
        &[("120000", "passwd.r5flow", "/etc/passwd")],
    );
    a_bad_version(&machine, &library, "`passwd.r5flow` is a symbolic link");
}

#[test]
fn a_submodule() {
    let machine = Machine::new();
    let library = prepared(&machine);
    forged(&machine, &library, &[("160000", "more", "")]);
    a_bad_version(&machine, &library, "`more` is a submodule");
}

#[test]
fn names_that_lead_elsewhere() {
    let machine = Machine::new();
    let library = prepared(&machine);
    for name in [".git", ".GiT", "a\\..\\b", "c:", ".."] {
        forged(&machine, &library, &[("040000", name, "let a = 1\n")]);
        let told = format!(
            "`{}/image.r5flow` is no name for a file of a library",
            name.escape_debug()
        );
        let add = ["lib", "add", &library.url(), "--version", "=1.1.0"];
        refused(&machine, "fresh", &add, 1).says(&told);
        if name == ".." {
            a_bad_version(&machine, &library, &told);
        }
    }
}

#[test]
fn names_that_differ_in_case_only() {
    let machine = Machine::new();
    let library = prepared(&machine);
    forged(
        &machine,
        &library,
        &[("100644", "Image.r5flow", "let a = 1\n")],
    );
    a_bad_version(&machine, &library, "differ in capital letters only");
}

#[test]
fn paths_in_the_text_that_leave_the_library() {
    let machine = Machine::new();
    let library = prepared(&machine);
    machine.write("shop/secret.r5flow", "let word = \"stolen\"\n");
    machine.write("shop/secret.rhai", "1\n");
    let spying = [
        "use ../../shop/secret { word }\n",
        "hook word() -> int from \"../../../shop/secret.rhai\"\n",
        "hook word() -> int from \"/etc/passwd\"\n",
        "hook word() -> int from \"../lib:blue/x.rhai\"\n",
    ];
    for (n, text) in spying.iter().enumerate() {
        let version = format!("1.{}.0", n + 1);
        library.version(&version, text);
        library.publish(&version);
        machine.run("shop", &["lib", "update"]).ends(0);
        let said = refused(&machine, "shop", &["check", "x.r5flow"], 3);
        said.says("R1103")
            .says("leaves the library `red`")
            .never_has("stolen");
    }
    refused(&machine, "shop", &["resume", "--edited", "-y"], 3).says("R1103");
    the_run_goes_on(&machine);
}

#[test]
fn a_repository_that_is_too_much() {
    let machine = Machine::new();
    let library = prepared(&machine);
    for n in 0..1001 {
        library.write(&format!("many/m{n}.r5flow"), "");
    }
    library.version("1.1.0", WORD);
    library.publish("1.1.0");
    a_bad_version(&machine, &library, "1000 are the most");
    let machine = Machine::new();
    let library = prepared(&machine);
    library.write("large.r5flow", &"// x\n".repeat(1 << 20));
    library.version("1.1.0", WORD);
    library.publish("1.1.0");
    a_bad_version(&machine, &library, "`large.r5flow` is larger than 4 MiB");
}

/// Ten folders in ten folders and so on: a pack of a few hundred bytes, and more names than any disk can hold.
#[test]
fn a_repository_of_endless_names() {
    let machine = Machine::new();
    let library = prepared(&machine);
    let work = library.work();
    library.version("1.1.0", WORD);
    library.commit("1.1.0");
    let blob = machine.git_with(&work, &["hash-object", "-w", "--stdin"], "");
    let all = |kind: &str, id: &str, ending: &str| -> String {
        (0..10)
            .map(|n| format!("{kind} {id}\tn{n}{ending}\n"))
            .collect()
    };
    let mut tree = machine.git_with(&work, &["mktree"], &all("100644 blob", &blob, ".r5flow"));
    for _ in 0..9 {
        tree = machine.git_with(&work, &["mktree"], &all("040000 tree", &tree, ""));
    }
    let commit = library.git(&["commit-tree", &tree, "-m", "endless"]);
    library.git(&["tag", "-f", "1.1.0", &commit]);
    library.push();
    a_bad_version(
        &machine,
        &library,
        "it has more files, tags and branches than a library can have",
    );
}

#[test]
fn libraries_in_a_circle() {
    let machine = Machine::new();
    let red = prepared(&machine);
    let blue = machine.library("blue", "");
    let needs = |other: &Published<'_>, name: &str| {
        format!(
            "[dependencies]\n{name} = {{ git = \"{}\", version = \"^1.1\" }}\n",
            other.url()
        )
    };
    blue.write(
        "r5flow.toml",
        &manifest("blue", "1.1.0", &needs(&red, "red")),
    );
    blue.write("image.r5flow", WORD);
    blue.publish("1.1.0");
    red.write(
        "r5flow.toml",
        &manifest("red", "1.1.0", &needs(&blue, "blue")),
    );
    red.publish("1.1.0");
    let told = "need each other in a circle: `blue` → `red` → `blue`";
    refused(&machine, "fresh", &["lib", "add", &red.url()], 1).says(told);
    not_taken(&machine, told);
}

/// A version that is good and does not fit: the update says so and goes on without it.
#[track_caller]
fn not_taken(machine: &Machine, told: &str) {
    let before = machine.read("shop/r5flow.lock");
    machine
        .run("shop", &["lib", "update"])
        .ends(0)
        .says("nothing changes")
        .says("note: red 1.1.0 is passed over: ")
        .says(told);
    assert_eq!(machine.read("shop/r5flow.lock"), before);
    machine.run("shop", &["lib", "vendor"]).ends(0);
    the_run_goes_on(machine);
}

#[test]
fn two_versions_that_cannot_meet() {
    let machine = Machine::new();
    let red = prepared(&machine);
    let base = machine.library("base", "");
    for version in ["1.0.0", "2.0.0"] {
        base.version(version, WORD);
        base.publish(version);
    }
    let needs = format!(
        "[dependencies]\nbase = {{ git = \"{}\", version = \"^2\" }}\n",
        base.url()
    );
    red.write("r5flow.toml", &manifest("red", "1.1.0", &needs));
    red.publish("1.1.0");
    for project in ["shop", "fresh"] {
        machine
            .run(project, &["lib", "add", &base.url(), "--version", "^1"])
            .ends(0);
    }
    let told = "no version of `base` suits everybody: this project asks for ^1, `red` 1.1.0 asks for ^2; there are 1.0.0, \
                2.0.0";
    refused(&machine, "fresh", &["lib", "add", &red.url()], 1).says(told);
    not_taken(&machine, told);
}

#[test]
fn a_library_that_needs_what_is_not_here() {
    for (needs, told) in [
        (
            "[catalog]\ncompute = \"20991231\"\n",
            "needs the description of `compute` of 20991231 or later",
        ),
        ("[catalog]\nnovel = \"1\"\n", "needs the service `novel`"),
    ] {
        let machine = Machine::new();
        let red = prepared(&machine);
        red.write("r5flow.toml", &manifest("red", "1.1.0", needs));
        red.publish("1.1.0");
        refused(&machine, "fresh", &["lib", "add", &red.url()], 1).says(told);
        not_taken(&machine, told);
    }
    let machine = Machine::new();
    let red = prepared(&machine);
    red.write("r5flow.toml", &manifest("red", "1.1.0", ""));
    let text = machine.read(&format!("{}/r5flow.toml", red.work()));
    red.write(
        "r5flow.toml",
        &text.replace("exports", "r5flow = \">=99\"\nexports"),
    );
    red.publish("1.1.0");
    refused(&machine, "fresh", &["lib", "add", &red.url()], 1)
        .says("needs r5flow >=99, and this is 0.1.0");
    not_taken(&machine, "needs r5flow >=99");
}

#[test]
fn a_lock_that_somebody_made_up() {
    let machine = Machine::new();
    prepared(&machine);
    let lock = machine.read("shop/r5flow.lock");
    for (old, new, told) in [
        (
            "name = \"red\"",
            "name = \"../../red\"",
            "no name of a library",
        ),
        (
            "version = \"1.0.0\"",
            "version = \"9.0.0\"",
            "asks for `red` ^1",
        ),
        ("blake3:", "blake3:0000", "its `content` is no hash"),
        ("format = 1", "format = 7", "its form is 7"),
    ] {
        machine.write("shop/r5flow.lock", &lock.replacen(old, new, 1));
        refused(&machine, "shop", &["check", "x.r5flow"], 3)
            .says("R1101")
            .says(told);
    }
    // Another content under the right name is not what the source gives.
    let at = lock.find("blake3:").expect("a hash") + 7;
    let other = format!("{}{}{}", &lock[..at], "0".repeat(64), &lock[at + 64..]);
    machine.write("shop/r5flow.lock", &other);
    refused(&machine, "shop", &["check", "x.r5flow"], 3).says("is not what was locked");
    the_run_goes_on(&machine);
}

/// A lock that was made with more than there is here.
#[test]
fn a_locked_library_that_needs_what_is_not_here() {
    let machine = Machine::new();
    let library = prepared(&machine);
    let toy = r#"{ "kind": "discovery#restDescription", "name": "toy", "version": "v1", "revision": "20260101",
        "title": "Toy", "rootUrl": "https://toy.googleapis.com/", "servicePath": "toy/v1/", "schemas": {}, "resources": {} }"#;
    machine.write("fresh/toy.json", toy);
    machine
        .run("fresh", &["catalog", "build", "toy.json", "--out", "cat"])
        .ends(0);
    library.write(
        "r5flow.toml",
        &manifest("red", "1.1.0", "[catalog]\ntoy = \"20260101\"\n"),
    );
    library.publish("1.1.0");
    machine
        .run("fresh", &["lib", "add", &library.url(), "--catalog", "cat"])
        .ends(0);
    machine
        .run("fresh", &["check", "x.r5flow", "--catalog", "cat"])
        .ends(0);
    let told = "`red` 1.1.0 needs the service `toy`, which this catalogue lacks";
    refused(&machine, "fresh", &["check", "x.r5flow"], 3)
        .says("R1101")
        .says(told);
    refused(&machine, "fresh", &["lib", "verify"], 1).says(told);
}

/// A copy in the project and the hash in the lock that go together, and are of no commit.
#[test]
fn a_lock_and_a_copy_that_somebody_made_up_together() {
    let machine = Machine::new();
    let library = prepared(&machine);
    let good = machine.read("shop/r5flow.lock");
    let hash = |lock: &str| lock.split("blake3:").nth(1).expect("a hash")[..64].to_owned();
    machine.run("shop", &["lib", "vendor"]).ends(0);
    let evil = machine.library("evil", "");
    evil.write("r5flow.toml", &manifest("red", "1.0.0", ""));
    evil.write("image.r5flow", "let word = \"evil\"\n");
    evil.publish("1.0.0");
    machine.project("other", &[]);
    machine.run("other", &["lib", "add", &evil.url()]).ends(0);
    let made_up = good.replace(&hash(&good), &hash(&machine.read("other/r5flow.lock")));
    machine.write("shop/r5flow.lock", &made_up);
    machine.write(
        "shop/vendor/r5flow/red/image.r5flow",
        "let word = \"evil\"\n",
    );
    let told = "has another content than `r5flow.lock` says, although the commit is the same";
    refused(&machine, "shop", &["lib", "verify"], 1).says(told);
    machine.remove("shop/vendor");
    machine.remove("cache");
    for words in [&["lib", "vendor"][..], &["lib", "verify"]] {
        refused(&machine, "shop", words, 1).says("is not what was locked");
    }
    the_run_goes_on(&machine);
    // A content of another version under the locked one.
    library.version("1.1.0", WORD);
    library.publish("1.1.0");
    machine
        .run("fresh", &["lib", "add", &library.url()])
        .ends(0);
    let newer = good.replace(&hash(&good), &hash(&machine.read("fresh/r5flow.lock")));
    machine.write("shop/r5flow.lock", &newer);
    for words in [&["lib", "vendor"][..], &["lib", "verify"]] {
        refused(&machine, "shop", words, 1).says("says `red` 1.0.0, and its content `red` 1.1.0");
    }
}

/// What a library says of policies holds for its own; those of the project are the project's to silence.
#[test]
fn a_library_silences_no_policy_of_the_project() {
    let machine = Machine::new();
    let library = machine.library("red", "");
    let serve = |before: &str| {
        format!(
            "{before}workflow serve {{\n  input project: string\n  at {{ project }}\n  \
             step backend = ensure compute.backendServices(\"sm\") {{ protocol: \"HTTP\", timeoutSec: 365d }}\n    \
             allow timeout_above_a_day \"trust me\"\n    allow bare_is_stable \"and me\"\n}}\n"
        )
    };
    library.version("1.0.0", &serve(""));
    library.publish("1.0.0");
    library.version("1.1.0", &serve("use policies/gcp\n\n"));
    library.publish("1.1.0");
    machine.project("shop", &[]);
    let add = ["lib", "add", &library.url(), "--version", "=1.0.0"];
    machine.run("shop", &add).ends(0);
    let flow = |uses: &str, allows: &str| {
        let text = format!(
            "{uses}use red/image {{ serve }}\n\nworkflow w {{\n  input project: string\n  step served = run serve {{ \
             project }}\n{allows}}}\n"
        );
        machine.write("shop/x.r5flow", &text);
        let plan = ["plan", "x.r5flow", "--sim", "--input", "project=demo"];
        [
            machine
                .run("shop", &["check", "x.r5flow"])
                .ends_among(&[0, 3]),
            machine.run("shop", &plan).ends_among(&[0, 3]),
        ]
    };
    const POLICIES: &str = "use policies/gcp\n";
    for said in flow(POLICIES, "") {
        said.says("policy `timeout_above_a_day`")
            .says("a library cannot allow it; you can, at the step that runs it");
    }
    let allows = "    allow timeout_above_a_day \"It is a test.\"\n";
    for said in flow(POLICIES, allows) {
        said.never_has("timeout_above_a_day");
    }
    // A policy that only the library brings along is the library's to silence; and nobody is told of its other
    // allowances, which are for other flows.
    machine
        .run(
            "shop",
            &["lib", "add", &library.url(), "--version", "=1.1.0"],
        )
        .ends(0);
    for said in flow("", "") {
        said.never_has("timeout_above_a_day")
            .never_has("bare_is_stable");
    }
}
