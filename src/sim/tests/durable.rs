//! The log that a simulated cloud leaves behind, and the port that it answers on.

use serde_json::{Value as Json, json};

use super::super::durable::{Cloud, Durable, SimError};
use super::{START, Scenario, call, compute};
use crate::catalog::Catalog;
use crate::wire::Verb;
use crate::world::{Millis, Timestamp};

fn open(dir: &std::path::Path) -> Result<(Durable, Timestamp), SimError> {
    Durable::open(dir, Catalog::embedded(), Scenario::default(), START)
}

fn state(cloud: &Durable) -> String {
    let sim = cloud.sim();
    format!("{} {:?}", Json::Object(sim.resources()), sim.mutations())
}

/// Makes health checks `c0`, `c1`, …, one every ten seconds, with reads between them.
fn fill(cloud: &mut Durable, count: i64) {
    for i in 0..count {
        let at = START.plus(Millis::secs(10 * i));
        let body = json!({ "name": format!("c{i}"), "type": "TCP" });
        let reply = cloud.call(&call(Verb::Post, &compute("global/healthChecks"), body), at);
        assert_eq!(reply.expect("call").answer.status, 200);
        let read = call(Verb::Get, &compute("global/healthChecks"), Json::Null);
        cloud.call(&read, at.plus(Millis(1))).expect("read");
        let other = call(
            Verb::Get,
            "compute/v1/projects/elsewhere/global/networks",
            Json::Null,
        );
        cloud.call(&other, at.plus(Millis(2))).expect("read");
    }
}

#[test]
fn a_cloud_reopens_as_it_was() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut cloud, from) = open(dir.path()).expect("open");
    assert_eq!(from, START);
    fill(&mut cloud, 4);
    cloud.approve(START.plus(Millis::mins(1))).expect("approve");
    let before = cloud.sim().mutations().to_vec();
    let found = cloud
        .sim()
        .resource("compute", "projects/demo/global/healthChecks/c3");
    drop(cloud);
    let (again, latest) = open(dir.path()).expect("open again");
    assert_eq!(latest, START.plus(Millis::mins(1)));
    assert_eq!(again.sim().mutations(), before);
    assert_eq!(
        again
            .sim()
            .resource("compute", "projects/demo/global/healthChecks/c3"),
        found
    );
    assert!(found.is_some());
}

#[test]
fn any_prefix_of_the_log_is_a_cloud_of_the_past() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut cloud, _) = open(dir.path()).expect("open");
    fill(&mut cloud, 3);
    drop(cloud);
    let whole = std::fs::read(dir.path().join("cloud.log")).expect("log");
    let ends: Vec<usize> = (0..whole.len())
        .filter(|i| whole[*i] == b'\n')
        .map(|i| i + 1)
        .collect();
    assert_eq!(ends.len(), 4);
    let mut past = Vec::new();
    for lines in 0..=4 {
        past.push(state(&reopened(
            &whole[..if lines == 0 { 0 } else { ends[lines - 1] }],
        )));
    }
    for cut in (0..whole.len())
        .step_by(23)
        .chain(ends.iter().flat_map(|e| [e - 1, *e]))
    {
        let lines = ends.iter().filter(|e| **e <= cut).count();
        assert_eq!(state(&reopened(&whole[..cut])), past[lines], "cut at {cut}");
    }
    assert_ne!(past[3], past[4]);
}

fn reopened(log: &[u8]) -> Durable {
    let dir = tempfile::tempdir().expect("dir");
    std::fs::write(dir.path().join("cloud.log"), log).expect("write");
    let (mut cloud, _) = open(dir.path()).expect("open");
    // What comes after a torn line can be written and read again.
    let late = START.plus(Millis::secs(100));
    let body = json!({ "name": "late", "type": "TCP" });
    cloud
        .call(
            &call(Verb::Post, &compute("global/healthChecks"), body),
            late,
        )
        .expect("call");
    let there = state(&cloud);
    drop(cloud);
    let (cloud, _) = open(dir.path()).expect("open again");
    assert_eq!(state(&cloud), there);
    cloud
}

#[test]
fn damage_and_other_scenarios_are_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut cloud, _) = open(dir.path()).expect("open");
    fill(&mut cloud, 2);
    drop(cloud);
    let path = dir.path().join("cloud.log");
    let whole = std::fs::read(&path).expect("log");
    let other = Scenario {
        seed: 2,
        ..Scenario::default()
    };
    let found = Durable::open(dir.path(), Catalog::embedded(), other, START);
    assert!(matches!(found, Err(SimError::OtherScenario { .. })));
    let mut broken = whole.clone();
    let middle = whole.len() / 2;
    broken[middle] = broken[middle].wrapping_add(1);
    std::fs::write(&path, &broken).expect("write");
    match open(dir.path()) {
        Err(SimError::Damaged { line, .. }) => assert_eq!(line, 2),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a damaged log was opened"),
    }
}
