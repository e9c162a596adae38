//! A flow of some three hundred steps against the simulator on a port, its process killed over and
//! over at random moments: the journal is always readable, what was acknowledged is not done again, and
//! every change takes effect once.
//!
//! `R5FLOW_KILLS` says how often (20).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use crate::harness::Folder;
use crate::port::Cloud;
use r5flow::spec::dice::Dice;

const LAYERS: usize = 12;
/// A process is killed at the latest after this; one that lives longer is let go on to its end.
const LIFE: usize = 2000;
/// A run that was killed so often is let go on to its end, and a new one begun.
const KILLS_OF_A_RUN: usize = 20;

const SCENARIO: &str = r#"
[durations]
"compute.addresses.insert" = 1
"compute.healthChecks.insert" = 1
"compute.healthChecks.patch" = 1
"compute.healthChecks.delete" = 1
"sqladmin.databases.insert" = 1
"sqladmin.instances.restart" = 1
"#;

/// In each layer: sixteen steps that change something, eight hooks, and one that reads.
fn flow() -> String {
    let mut text = String::from(
        "hook word(n: int, of: string) -> string = \"\"\"rhai\n`${of}-${n}`\n\"\"\"\n\n\
         workflow main {\n  at { project: \"demo\", region: \"us-central1\" }\n",
    );
    for layer in 0..LAYERS {
        let after = match layer {
            0 => String::new(),
            _ => format!("      after l{}_read\n", layer - 1),
        };
        for n in 0..8 {
            let _ = write!(
                text,
                "  step l{layer}_word{n} = hook word({n}, \"layer-{layer}\")\n{after}\
                 \x20 step l{layer}_check{n} = ensure compute.healthChecks(\"hc-{layer}-{n}\") {{\n\
                 \x20   type: \"TCP\"\n    description: l{layer}_word{n}\n    tcpHealthCheck: {{ port: 80 }}\n  }}\n"
            );
        }
        for n in 0..4 {
            let _ = write!(
                text,
                "  step l{layer}_address{n} = ensure compute.addresses(\"a-{layer}-{n}\") {{ description: l{layer}_word{n} }}\n\
                 \x20 step l{layer}_changed{n} = call compute.healthChecks.patch(\"hc-{layer}-{n}\") \
                 {{ description: l{layer}_address{n}.name }}\n      after l{layer}_check{n}\n"
            );
        }
        let _ = write!(
            text,
            "  step l{layer}_base = ensure sqladmin.databases(\"base-{layer}\", instance: \"red5\") {{ charset: \"UTF8\" }}\n{after}\
             \x20 step l{layer}_read = read compute.healthChecks(\"hc-{layer}-0\")\n\
             \x20     after l{layer}_base, l{layer}_changed0, l{layer}_changed3\n"
        );
    }
    text.push_str(&format!(
        "  output last = l{}_read.description\n}}\n",
        LAYERS - 1
    ));
    text
}

/// What each change of the flow must have done.
fn wanted() -> BTreeMap<String, usize> {
    let mut wanted = BTreeMap::new();
    let (compute, checks) = ("compute/v1/projects/demo", "global/healthChecks");
    wanted.insert(
        format!("compute.healthChecks.insert {compute}/{checks}"),
        LAYERS * 8,
    );
    wanted.insert(
        format!("compute.addresses.insert {compute}/regions/us-central1/addresses"),
        LAYERS * 4,
    );
    wanted.insert(
        "sqladmin.databases.insert v1/projects/demo/instances/red5/databases".to_owned(),
        LAYERS,
    );
    for layer in 0..LAYERS {
        for n in 0..4 {
            let target = format!("{compute}/{checks}/hc-{layer}-{n}");
            wanted.insert(format!("compute.healthChecks.patch {target}"), 1);
        }
    }
    wanted
}

#[derive(Debug, Default)]
struct Figures {
    runs: usize,
    kills: usize,
    steps: usize,
    unreadable: usize,
    repeated: usize,
    duplicates: usize,
    orphans: usize,
}

fn start(folder: &Folder, endpoint: &str, resume: bool) -> Child {
    let what: &[&str] = match resume {
        true => &["resume"],
        false => &["run", "flow.r5flow"],
    };
    let words = [what, &["--endpoint", endpoint, "--yes", "--json"]].concat();
    let mut command = folder.command(&words);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the binary")
}

/// The steps that the process said are finished, until it ended; and how it ended.
fn acknowledged(child: &mut Child, life: Option<Duration>) -> (BTreeSet<String>, Option<i32>) {
    let out = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        let events = lines.filter_map(|line| serde_json::from_str::<Json>(&line).ok());
        events
            .filter(|event| event["event"] == "finished" && event["outcome"]["done"].is_object())
            .map(|event| event["address"].as_str().expect("an address").to_owned())
            .collect()
    });
    if let Some(life) = life {
        std::thread::sleep(life);
        let _ = child.kill();
    }
    let code = child.wait().expect("an end").code();
    (reader.join().expect("its output"), code)
}

/// Kills one run over and over, and lets it end.
fn one_run(dice: &mut Dice, kills: usize, figures: &mut Figures) {
    let folder = Folder::new(&[("flow.r5flow", &flow())]);
    let cloud = Cloud::new(&folder, SCENARIO, "20");
    let endpoint = cloud.endpoint();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut killed = 0;
    loop {
        let begun = folder
            .path(".r5flow/runs")
            .read_dir()
            .is_ok_and(|mut d| d.next().is_some());
        let life = Duration::from_millis(dice.below(LIFE) as u64);
        let life = (killed < kills).then_some(life);
        let mut child = start(&folder, &endpoint, begun);
        let (acked, code) = acknowledged(&mut child, life);
        figures.repeated += acked.intersection(&done).count();
        done.extend(acked);
        match code {
            None => killed += 1,
            Some(0) => break,
            // It was killed before it had recorded anything; there is nothing to resume.
            Some(1) if done.is_empty() && begun => {
                std::fs::remove_dir_all(folder.path(".r5flow/runs")).expect("removed");
            }
            Some(code) => panic!("ended with {code} after {killed} kills"),
        }
        let list = folder.run(&["runs", "--json"]).ends_among(&[0, 1, 64]);
        figures.unreadable += usize::from(list.code == 1);
    }
    figures.runs += 1;
    figures.kills += killed;
    figures.steps = done.len();
    let (found, wanted) = (cloud.effective(), wanted());
    for (change, count) in &found {
        let planned = wanted.get(change).copied().unwrap_or(0);
        match planned {
            0 => figures.orphans += count,
            _ => figures.duplicates += count.saturating_sub(planned),
        }
    }
    assert_eq!(found, wanted, "after {killed} kills");
}

#[test]
fn killed_at_random_moments() {
    let kills = std::env::var("R5FLOW_KILLS").ok();
    let kills: usize = kills.map_or(20, |n| n.parse().expect("a number of kills"));
    let seed = std::env::var("R5FLOW_SEED").ok();
    let mut dice = Dice::new(seed.map_or(42, |n| n.parse().expect("a seed")));
    let mut figures = Figures::default();
    while figures.kills < kills {
        let left = (kills - figures.kills).min(KILLS_OF_A_RUN);
        one_run(&mut dice, left, &mut figures);
    }
    println!("{figures:?}");
    assert_eq!(
        (
            figures.unreadable,
            figures.repeated,
            figures.duplicates,
            figures.orphans
        ),
        (0, 0, 0, 0),
        "{figures:?}"
    );
}
