//! A run that goes on somewhere else: in a copy, in another world, under another account.

use crate::harness::Folder;
use crate::port::Cloud;

const FLOW: &str = "workflow w {
  at { project: \"demo\" }
  step one = ensure compute.globalAddresses(\"one\")
  checkpoint half
  step two = ensure compute.globalAddresses(\"two\")
  output name = two.name
}
";

const HALF: [&str; 5] = ["run", "w.r5flow", "-y", "--until", "half"];

/// Two jobs of a build machine, each with nothing but the flow: both make what is not there.
#[test]
fn two_runs_from_empty_folders_are_two_runs() {
    let (a, b) = (
        Folder::new(&[("w.r5flow", FLOW)]),
        Folder::new(&[("w.r5flow", FLOW)]),
    );
    let undo = FLOW.replace(
        "ensure compute.globalAddresses(\"one\")",
        "call compute.globalAddresses.delete(\"one\")",
    );
    a.write("undo.r5flow", &undo);
    let cloud = Cloud::new(&a, "", "1000");
    let endpoint = cloud.endpoint();
    let at = ["--endpoint", endpoint.as_str()];
    a.run(&[&HALF[..], &at].concat()).ends(6);
    a.run(&[&["run", "undo.r5flow", "-y", "--until", "half"][..], &at].concat())
        .ends(6);
    b.run(&[&HALF[..], &at].concat()).ends(6);
    let effective = cloud.effective();
    let made = effective
        .iter()
        .filter(|(k, _)| k.starts_with("compute.globalAddresses.insert"));
    assert_eq!(made.map(|(_, n)| n).sum::<usize>(), 2, "{effective:?}");
}

#[test]
fn a_copied_state_directory_does_not_go_on() {
    let f = Folder::new(&[("w.r5flow", FLOW)]);
    f.run(&[&HALF[..], &["--sim"]].concat()).ends(6);
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([f.path(".r5flow"), f.path("copy")])
        .status();
    assert!(copied.expect("cp").success());
    let copy = ["resume", "-y", "--state", "copy"];
    let _ = f.run(&copy).ends(7).err_has("--take-over");
    let _ = f.run(&["resume", "-y"]).ends(0).out_has("name = \"two\"");
    let _ = f.run(&[&copy[..], &["--take-over"]].concat()).ends(0);
}

#[test]
fn a_simulated_run_does_not_go_on_elsewhere() {
    let f = Folder::new(&[("w.r5flow", FLOW)]);
    f.run(&[&HALF[..], &["--sim"]].concat()).ends(6);
    let _ = f
        .run(&["resume", "-y", "--endpoint", "http://127.0.0.1:9"])
        .ends(7)
        .err_has("the built-in simulator");
    let _ = f.run(&["resume", "-y"]).ends(0);
}

/// Where the file of the credentials tells whose they are, a run goes on under the same account.
#[test]
fn a_run_goes_on_under_its_own_account_only() {
    let flow = "workflow w {\n  checkpoint half\n  step pause = wait 10ms\n}\n";
    let f = Folder::new(&[
        ("w.r5flow", flow),
        (
            "a.json",
            r#"{ "type": "service_account", "client_email": "a@demo" }"#,
        ),
        (
            "b.json",
            r#"{ "type": "service_account", "client_email": "b@demo" }"#,
        ),
    ]);
    let with = |words: &[&str], file: &str| {
        f.run_with(words, &[("GOOGLE_APPLICATION_CREDENTIALS", file)], "")
    };
    with(&HALF, "a.json").ends(6);
    let _ = with(&["resume", "-y"], "b.json")
        .ends(7)
        .err_has("the run began as a@demo, and would go on as b@demo");
    let _ = with(&["resume", "-y"], "a.json").ends(0);
}
