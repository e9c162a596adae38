//! What the docs show of the program's output is what the program prints.

use std::collections::BTreeSet;
use std::path::Path;

use crate::book::{fenced, read};
use crate::harness::Folder;

/// What the tutorial's reader types, and what he sees.
#[test]
fn the_tutorial_shows_what_the_program_prints() {
    let page = "docs/tutorial.md";
    let flow = &fenced(page, "r5flow")[0];
    let inputs = &fenced(page, "toml")[0];
    let shown = fenced(page, "text");
    let folder = Folder::new(&[("image.r5flow", flow), ("inputs.toml", inputs)]);
    let fine = folder.run(&["check", "image.r5flow"]).ends(0);
    assert_eq!(format!("{}{}", fine.out, fine.err), shown[0]);
    let planned = ["plan", "image.r5flow", "--inputs", "inputs.toml", "--sim"];
    assert_eq!(folder.run(&planned).ends(0).out.trim(), shown[2].trim());
    let mistaken = flow
        .replace("compute.addresses", "compute.adresses")
        .replace("family:", "famly:");
    folder.write("image.r5flow", &mistaken);
    let wrong = folder.run(&["check", "image.r5flow"]).ends(3);
    assert_eq!(format!("{}{}", wrong.out, wrong.err), shown[1]);
}

/// The picture of a run in the readme, line by line; ids and times of real clocks apart.
#[test]
fn the_readme_shows_a_real_run() {
    let state = Folder::new(&[]);
    let words = format!(
        "run workflows/red5/autoscale.r5flow --inputs workflows/red5/autoscale.example.toml --sim --yes --state {}",
        state.path("state").display()
    );
    assert!(read(Path::new("README.md")).contains(words.split(" --state").next().unwrap_or("")));
    let words: Vec<&str> = words.split(' ').collect();
    let output = state
        .command(&words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("a process");
    assert_eq!(output.status.code(), Some(0));
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8(said).expect("text");
    let said: Vec<String> = said.lines().map(without_id).collect();
    let picture = &fenced("README.md", "text")[0];
    let mut rest = said.iter();
    for line in picture.lines().filter(|l| l.trim() != "…") {
        let line = without_id(line);
        assert!(
            rest.any(|l| *l == line),
            "the run does not print {line:?} (in this order):\n{}",
            said.join("\n")
        );
    }
}

/// A line with the id of its run left out.
fn without_id(line: &str) -> String {
    match line.strip_prefix("run ").and_then(|l| l.split_once(' ')) {
        Some((_, rest)) => format!("run … {rest}"),
        None => line.to_owned(),
    }
}

/// Every command and option that `--help` tells is on the page, and every one of the page exists.
#[test]
fn the_page_of_the_command_line_is_complete() {
    let page = read(Path::new("docs/command-line.md"));
    let folder = Folder::new(&[]);
    let help = folder.run(&["--help"]).ends(0).out;
    let commands: BTreeSet<&str> = help
        .split_once("Commands:")
        .map_or("", |(_, rest)| rest)
        .lines()
        .skip(1)
        .take_while(|l| !l.trim().is_empty())
        .filter(|l| !l.starts_with("    "))
        .filter_map(|l| l.split_whitespace().next())
        .filter(|c| *c != "help")
        .collect();
    let told: BTreeSet<&str> = page
        .split("| `r5flow ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '`']).next())
        .collect();
    assert_eq!(commands, told, "commands of the program, and of the page");
    let mut options = BTreeSet::new();
    for command in ["plan", "run", "resume"] {
        let help = folder.run(&[command, "--help"]).ends(0).out;
        let words = help.split_whitespace();
        let long = words.filter_map(|w| w.strip_prefix("--"));
        options.extend(long.map(|w| w.split(['[', '=', '`']).next().unwrap_or(w).to_owned()));
    }
    let lacking: Vec<&String> = options
        .iter()
        .filter(|o| !["help", "version"].contains(&o.as_str()))
        .filter(|o| !page.contains(&format!("`--{o}")))
        .collect();
    assert!(lacking.is_empty(), "the page lacks {lacking:?}");
}

/// The scenario that the page shows is one, and its durations are those of the program.
#[test]
fn the_page_of_the_simulator_is_right() {
    use r5flow::sim::{Scenario, timing};
    let page = "docs/simulator.md";
    let example = Scenario::parse(&fenced(page, "toml")[0]).expect("a scenario");
    assert_eq!(
        timing::operation(&example, "compute.instances.stop").0,
        5_000
    );
    let built_in = Scenario::default();
    let text = read(Path::new(page));
    let table = text.split("## Durations").nth(1).expect("the durations");
    let mut rows = 0;
    for line in table.lines().filter(|l| l.contains("` |")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(name), Some(seconds)) = (cells.next(), cells.next()) else {
            continue;
        };
        let name = name.trim_matches('`');
        let Ok(seconds) = seconds.parse::<i64>() else {
            continue;
        };
        if name.contains('.') {
            rows += 1;
            assert_eq!(
                timing::operation(&built_in, name).0,
                seconds * 1000,
                "{name}"
            );
        }
    }
    assert_eq!(rows, 4);
}
