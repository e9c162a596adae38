//! Addresses and names that git would read as something else, and what git itself would run.

use crate::library_rig::{Machine, WORD, assert_only_copies, prepared, refused, the_run_goes_on};

#[test]
fn an_address_that_git_would_read_as_something_else() {
    let touch = |machine: &Machine| machine.path("pwned").display().to_string();
    let addresses: [fn(&str) -> String; 5] = [
        |file| format!("--upload-pack=touch {file}"),
        |file| format!("ext::sh -c touch% {file}"),
        |file| format!("ext::touch\u{a0}{file}"),
        |file| format!("ssh://-oProxyCommand=touch,{file}/x"),
        |file| format!("-oProxyCommand=touch,{file}:x"),
    ];
    for address in addresses {
        let machine = Machine::new();
        prepared(&machine);
        let address = address(&touch(&machine));
        let pwned = machine.path("pwned");
        refused(
            &machine,
            "fresh",
            &["lib", "add", &address, "--version", "^1"],
            64,
        )
        .says("error: ");
        refused(
            &machine,
            "fresh",
            &["lib", "add", "--tag", "1", "--", &address],
            64,
        );
        // What the command refuses, somebody may have written by hand.
        let written = machine.read("shop/r5flow.toml");
        let (before, after) = written.split_once("git = \"").expect("a source");
        let (_, after) = after.split_once('"').expect("its end");
        machine.write(
            "shop/r5flow.toml",
            &format!("{before}git = \"{address}\"{after}"),
        );
        for words in [
            &["lib", "update"][..],
            &["lib", "vendor"],
            &["lib", "verify"],
        ] {
            refused(&machine, "shop", words, 64).says("the dependency `red`");
        }
        refused(&machine, "shop", &["check", "x.r5flow"], 3).says("R1101");
        machine.write("shop/r5flow.toml", &written);
        let lock = machine.read("shop/r5flow.lock");
        let (before, after) = lock.split_once("git = \"").expect("a source");
        let (_, after) = after.split_once('"').expect("its end");
        machine.write(
            "shop/r5flow.lock",
            &format!("{before}git = \"{address}\"{after}"),
        );
        refused(&machine, "shop", &["lib", "update"], 64).says("`r5flow.lock`: `red`");
        refused(&machine, "shop", &["check", "x.r5flow"], 3).says("R1101");
        the_run_goes_on(&machine);
        assert!(!pwned.exists());
    }
}

#[test]
fn refs_that_git_would_read_as_options() {
    let machine = Machine::new();
    let library = prepared(&machine);
    let url = library.url();
    let option = format!("--upload-pack=touch {}", machine.path("pwned").display());
    for flag in ["--tag", "--branch", "--revision"] {
        refused(&machine, "fresh", &["lib", "add", &url, flag, &option], 64);
    }
    refused(
        &machine,
        "fresh",
        &["lib", "add", &url, "--tag", "1.0.0", "--folder", "../x"],
        64,
    )
    .says("no folder");
    assert!(!machine.path("pwned").exists());
}

#[cfg(unix)]
#[test]
fn no_hook_and_no_template_of_git_runs() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    let library = machine.library("red", "");
    library.version("1.0.0", WORD);
    library.publish("1.0.0");
    let pwned = machine.path("pwned").display().to_string();
    for folder in ["evil", "template/hooks"] {
        for hook in [
            "reference-transaction",
            "post-checkout",
            "post-merge",
            "pre-auto-gc",
        ] {
            let file = format!("{folder}/{hook}");
            machine.write(&file, &format!("#!/bin/sh\ntouch {pwned}\n"));
            let rights = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(machine.path(&file), rights).expect("rights");
        }
    }
    let config = format!(
        "[core]\n\thooksPath = {}\n[init]\n\ttemplateDir = {}\n",
        machine.path("evil").display(),
        machine.path("template").display()
    );
    machine.project("shop", &[]);
    machine.write("home/.gitconfig", &config);
    machine.run("shop", &["lib", "add", &library.url()]).ends(0);
    assert!(!machine.path("pwned").exists());
    assert_only_copies(&machine);
}

#[test]
fn a_password_in_an_address_is_not_written_down() {
    let machine = Machine::new();
    machine.project("shop", &[]);
    for address in [
        "https://ada:sesame@example.com/x",
        "ssh://ada:sesame@example.com/x",
    ] {
        refused(&machine, "shop", &["lib", "add", address], 64)
            .says("it is written into files that everybody reads")
            .never_has("sesame");
    }
    for address in ["http://example.com/x", "git://example.com/x"] {
        refused(&machine, "shop", &["lib", "add", address], 64)
            .says("is no way to fetch a library");
    }
}
