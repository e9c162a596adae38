//! Who goes first, and who waits: domains, operations in flight, requests a minute, the longest path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use r5flow::catalog::Catalog;
use r5flow::journal::{Event, Reason, RunStatus};
use r5flow::run::NodeStatus;
use r5flow::sim::{Mutation, Scenario, Sim};
use r5flow::world::{Millis, Timestamp};
use serde_json::json;

use crate::process::{Case, Mark, Ran, START, checked, program};

/// A cloud with Cloud SQL instances of these names and a scenario's settings.
fn cloud(instances: &[&str], settings: &str) -> Sim {
    let mut text = settings.to_owned();
    for name in instances {
        let _ = write!(
            text,
            "\n[[resources]]\ncollection = \"sqladmin.instances\"\nbody = {{ name = \"{name}\", region = \"us-central1\", \
             settings = {{ tier = \"db-f1-micro\" }} }}\n"
        );
    }
    let scenario = Scenario::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    Sim::new(Catalog::embedded(), scenario, START)
}

fn flow(steps: &str) -> String {
    format!(
        "workflow main {{\n  input project: string\n  at {{ project, region: \"us-central1\", zone: \"us-central1-a\" }}\n{steps}}}\n"
    )
}

fn run(text: &str, sim: Sim, parallel: usize) -> Ran {
    let program = program(text);
    let checked = checked(&program);
    let mut case = Case::new(&program, &checked, &json!({ "project": "demo" }));
    case.parallel = parallel;
    case.run(Case::fresh(sim), None)
}

fn done(ran: &Ran) {
    let end = ran.end.as_ref().expect("an end");
    assert_eq!(end.status, RunStatus::Done, "{:#?}", end.failures);
}

fn refused<'r>(ran: &'r Ran, method: &str) -> Vec<&'r Mutation> {
    let log = ran.left.sim.mutations().iter();
    log.filter(|m| m.method == method && m.status != 200)
        .collect()
}

fn effective(ran: &Ran, method: &str) -> usize {
    let log = ran.left.sim.mutations().iter();
    log.filter(|m| m.method == method && m.effective).count()
}

fn took(ran: &Ran) -> Millis {
    ran.left.now.since(START)
}

/// `count` databases for each of these instances, one beside the other.
fn databases(instances: &[&str], count: usize) -> String {
    let mut steps = String::new();
    for instance in instances {
        for n in 0..count {
            let _ = writeln!(
                steps,
                "  step {instance}_{n} = ensure sqladmin.databases(\"d{n}\", instance: \"{instance}\") {{}}"
            );
        }
    }
    flow(&steps)
}

#[test]
fn twenty_changes_of_one_instance_go_one_behind_the_other() {
    let ran = run(&databases(&["main"], 20), cloud(&["main"], ""), 16);
    done(&ran);
    assert_eq!(
        refused(&ran, "sqladmin.databases.insert"),
        Vec::<&Mutation>::new()
    );
    assert_eq!(effective(&ran, "sqladmin.databases.insert"), 20);
    // An operation takes 5 s in the simulator, so twenty cannot be over sooner.
    assert!(took(&ran) >= Millis::secs(100), "{}", took(&ran));
}

#[test]
fn four_instances_are_worked_on_side_by_side() {
    let names = ["a", "b", "c", "d"];
    let alone = run(&databases(&["a"], 10), cloud(&["a"], ""), 16);
    let ran = run(&databases(&names, 10), cloud(&names, ""), 16);
    done(&ran);
    assert_eq!(
        refused(&ran, "sqladmin.databases.insert"),
        Vec::<&Mutation>::new()
    );
    assert_eq!(effective(&ran, "sqladmin.databases.insert"), 40);
    assert!(
        took(&ran).0 < took(&alone).0 * 11 / 10,
        "{} and {}",
        took(&alone),
        took(&ran)
    );
    let mut by_instance: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for m in ran.left.sim.mutations() {
        let instance = m.target.split('/').rev().nth(1).unwrap_or_default();
        by_instance.entry(instance).or_default().push(&m.at);
    }
    let firsts: BTreeSet<&str> = by_instance.values().map(|at| at[0]).collect();
    assert_eq!(
        (by_instance.len(), firsts.len()),
        (4, 1),
        "{by_instance:#?}"
    );
}

const BACKUP: &str = "
[[operations]]
target = \"projects/demo/instances/main\"
kind = \"BACKUP_VOLUME\"
user = \"anna@example.com\"
lasts = \"40m\"
";

#[test]
fn an_operation_of_somebody_else_is_waited_for() {
    let ran = run(&databases(&["main"], 2), cloud(&["main"], BACKUP), 16);
    done(&ran);
    assert!(took(&ran) > Millis::mins(40), "{}", took(&ran));
    let refusals = refused(&ran, "sqladmin.databases.insert").len();
    assert_eq!(
        refusals, 1,
        "the second step waits behind the first, not for the backup"
    );
}

#[test]
fn a_timeout_names_the_operation_that_it_waited_for_and_its_user() {
    let text = flow(
        "  step database = ensure sqladmin.databases(\"d\", instance: \"main\") {}\n    timeout 10m\n",
    );
    let ran = run(&text, cloud(&["main"], BACKUP), 16);
    let Some(NodeStatus::Failed(failure)) = ran.status.get("database") else {
        panic!("{:#?}", ran.status);
    };
    assert_eq!(failure.reason, Reason::TimedOut);
    for part in ["BACKUP_VOLUME", "anna@example.com", "still works on"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert!(
        took(&ran) >= Millis::mins(10) && took(&ran) < Millis::mins(11),
        "{}",
        took(&ran)
    );
}

/// As many addresses as a loop over a list.
fn addresses(count: usize) -> String {
    let mut steps = String::new();
    for n in 0..count {
        let _ = writeln!(steps, "  step a{n} = ensure compute.addresses(\"a{n}\")");
    }
    flow(&steps)
}

/// The most operations in flight at one time.
fn most_in_flight(ran: &Ran) -> usize {
    let (mut flying, mut most) = (0usize, 0);
    for mark in &ran.trace {
        match mark {
            Mark::Durable(Event::Operation { .. }) => flying += 1,
            Mark::Durable(Event::Called { .. }) => flying = flying.saturating_sub(1),
            _ => {}
        }
        most = most.max(flying);
    }
    most
}

#[test]
fn the_bound_on_operations_in_flight_is_learned() {
    let settings = "latency = { read = \"80ms\", write = \"300ms\" }\n[durations]\n\"compute.addresses.insert\" = 20\n\
                    [limits]\noperations = 50\n[quotas.regions]\nSTATIC_ADDRESSES = 1000\n";
    let ran = run(&addresses(500), cloud(&[], settings), 16);
    done(&ran);
    assert_eq!(effective(&ran, "compute.addresses.insert"), 500);
    let refusals = refused(&ran, "compute.addresses.insert").len();
    // Twice as many as are sent at a time until the bound is known, then a few whenever it is raised.
    assert!((1..=50).contains(&refusals), "{refusals} refusals");
    assert!(most_in_flight(&ran) <= 50, "{}", most_in_flight(&ran));
    // Ten rounds of fifty, and little more: the bound is used up.
    assert!(took(&ran) < Millis::secs(400), "{}", took(&ran));
}

#[test]
fn a_group_without_quota_rests_until_the_minute_turns() {
    let settings =
        "[limits.requests]\n\"compute writes\" = 60\n[quotas.regions]\nSTATIC_ADDRESSES = 1000\n";
    let ran = run(&addresses(400), cloud(&[], settings), 16);
    done(&ran);
    assert_eq!(effective(&ran, "compute.addresses.insert"), 400);
    let refusals = refused(&ran, "compute.addresses.insert").len();
    assert!((1..=64).contains(&refusals), "{refusals} refusals");
    assert!(took(&ran) < Millis::mins(10), "{}", took(&ran));
}

/// When each step's first request for a change left.
fn sent(ran: &Ran) -> BTreeMap<String, Timestamp> {
    let log = ran.left.sim.mutations().iter();
    log.filter(|m| m.effective)
        .map(|m| {
            let at = Timestamp::parse(&m.at).expect("a time");
            (m.request_id.clone().unwrap_or_default(), at)
        })
        .collect()
}

/// Steps in the order in which they began.
fn began(ran: &Ran) -> Vec<&str> {
    ran.trace
        .iter()
        .filter_map(|mark| match mark {
            Mark::Began(address) => Some(&**address),
            _ => None,
        })
        .collect()
}

const PATHS: &str = "  step short = ensure compute.addresses(\"short\")
  step middle_1 = ensure compute.addresses(\"middle-1\")
  step middle_2 = ensure compute.addresses(\"middle-2\")
    after middle_1
  step long_1 = ensure compute.addresses(\"long-1\")
  step long_2 = ensure compute.addresses(\"long-2\")
    after long_1
  step long_3 = ensure compute.addresses(\"long-3\")
    after long_2
";

/// The addresses of the intents, in order.
fn intents(ran: &Ran) -> Vec<&str> {
    ran.trace
        .iter()
        .filter_map(|mark| match mark {
            Mark::Durable(Event::Intent { address, .. }) => Some(&**address),
            _ => None,
        })
        .collect()
}

#[test]
fn the_longest_path_goes_first() {
    for parallel in [1, 2] {
        let ran = run(&flow(PATHS), cloud(&[], ""), parallel);
        done(&ran);
        assert_eq!(
            began(&ran)[..3],
            ["long_1", "middle_1", "short"],
            "parallel {parallel}"
        );
        assert_eq!(
            intents(&ran)[..3],
            ["long_1", "middle_1", "short"],
            "parallel {parallel}"
        );
        assert_eq!(sent(&ran).len(), 6);
    }
}
