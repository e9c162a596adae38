//! The protocol with one mistake in it: each must be noticed by the enumeration of crashes or of
//! failures, on some small flow.

use r5flow::run::Mutant;
use r5flow::spec::{
    self, Death, Fate, How, Left, Options, Player, crash_everywhere, fail_everywhere, remains,
};
use r5flow::world::Millis;
use serde_json::json;

use crate::crash::{a_check, cloud_with};
use crate::rig;

type Enumeration =
    fn(&spec::Case<'_, '_>, &r5flow::sim::Sim, &Options) -> Result<spec::Proof, String>;

/// Whether the enumeration is red: a difference, or an undisturbed run that breaks a promise.
fn is_red(text: &str, mutant: Option<Mutant>, enumeration: Enumeration) -> bool {
    let program = rig::program(text);
    let checked = rig::checked(&program);
    let mut case = rig::case(&checked, &json!({}));
    case.settings.mutant = mutant;
    let options = Options {
        schedules: 0,
        pairs: 0,
        foreign: 30,
        ..Options::new(false)
    };
    let cloud = cloud_with(&[a_check()]);
    enumeration(&case, &cloud, &options).map_or(true, |proof| proof.total().differences > 0)
}

fn is_noticed(mutant: Mutant, text: &str, enumeration: Enumeration) {
    assert!(
        !is_red(text, None, enumeration),
        "{mutant:?}: the flow is red without it"
    );
    assert!(is_red(text, Some(mutant), enumeration), "{mutant:?} passes");
}

/// One call whose repetition would take effect twice, and one step behind it.
const CALL: &str = r#"
workflow main {
  at { project: "demo", zone: "us-central1-a" }
  step keep = call compute.instances.setDiskAutoDelete("stream-manager-1", deviceName: "persistent-disk-0", autoDelete: false)
  step check = ensure compute.healthChecks("hc") { description: keep.name }
}
"#;

const SQL: &str = r#"
workflow main {
  at { project: "demo" }
  step again = call sqladmin.instances.restart("red5")
}
"#;

const MADE: &str = r#"
workflow main {
  at { project: "demo" }
  step made = call pubsub.projects.topics.create("news") { labels: { a: "1" } }
}
"#;

/// Record sets carry no mark, and their service lists no operations: found is all that they are.
const FOUND: &str = r#"
workflow main {
  at { project: "demo" }
  step zone = ensure dns.managedZones("z") { dnsName: "example.com.", description: "d", visibility: "public" }
  step made = ensure dns.resourceRecordSets("a.example.com.", managedZone: zone.name, type: "A") {
    ttl: 300
    rrdatas: ["203.0.113.9"]
  }
}
"#;

const GUARDED: &str = r#"
workflow main {
  at { project: "demo", zone: "us-central1-a" }
  step keep = call compute.instances.setDiskAutoDelete("stream-manager-1", deviceName: "persistent-disk-0", autoDelete: false)
  step gone = call compute.instances.delete("stream-manager-1")
    after keep
    require not one(disk in it.disks where disk.boot).autoDelete
}
"#;

const GROWS: &str = r#"
workflow main {
  at { project: "demo", zone: "us-central1-a" }
  step vm = read compute.instances("stream-manager-1")
    on absent continue
  if vm != null {
    step gone = call compute.instances.delete("stream-manager-1")
    step check = ensure compute.healthChecks("after") { type: "TCP", tcpHealthCheck: { port: 80 } }
      after gone
  }
}
"#;

#[test]
fn an_intent_that_is_not_durable() {
    is_noticed(Mutant::IntentNotDurable, CALL, crash_everywhere);
}

#[test]
fn an_outcome_after_its_dependents() {
    is_noticed(Mutant::OutcomeAfterDependents, CALL, crash_everywhere);
}

#[test]
fn a_request_id_that_is_drawn_again() {
    is_noticed(Mutant::RequestIdRedrawn, CALL, crash_everywhere);
}

#[test]
fn a_request_id_without_the_request() {
    is_noticed(Mutant::IdWithoutHash, CALL, fail_everywhere);
}

#[test]
fn a_generation_that_does_not_rise() {
    is_noticed(Mutant::GenerationNotRaised, CALL, fail_everywhere);
}

#[test]
fn settling_without_a_look_for_the_operation() {
    is_noticed(Mutant::SettleSkipsOperation, CALL, crash_everywhere);
}

#[test]
fn settling_without_a_look_at_the_target() {
    is_noticed(Mutant::SettleSkipsObservation, MADE, crash_everywhere);
}

#[test]
fn forbidden_taken_for_absent() {
    is_noticed(Mutant::ForbiddenIsAbsent, CALL, fail_everywhere);
}

/// Dies right before the delete leaves; meanwhile somebody lets the disk go with its machine.
fn deletes_with_its_disk(mutant: Option<Mutant>) -> bool {
    let program = rig::program(GUARDED);
    let checked = rig::checked(&program);
    let mut case = rig::case(&checked, &json!({}));
    case.settings.mutant = mutant;
    let player = Player::new(&case).expect("no secrets");
    let start = Left::fresh(rig::cloud());
    let how = How {
        record: true,
        ..How::default()
    };
    let played = player.play(start.clone(), &how);
    let sends = |method: &str| {
        let mut moments = played.moments.iter();
        let found = moments.find(|m| m.request.as_ref().is_some_and(|r| &*r.method == method));
        found.expect("it is sent").clone()
    };
    let death = Death {
        at: sends("compute.instances.delete").number,
        fate: Fate::Before,
        unsynced: false,
    };
    let mut left = remains(&case.catalog, &start, &played, death).expect("it dies there");
    let keep = sends("compute.instances.setDiskAutoDelete");
    let mut undo = (*keep.request.expect("a request")).clone();
    undo.query.retain(|(name, _)| name != "requestId");
    for (name, value) in &mut undo.query {
        if name == "autoDelete" {
            *value = "true".into();
        }
    }
    left.stage.answer(&case.catalog, &undo, left.now, false);
    left.now = left.now.plus(Millis::mins(5));
    let resumed = player.play(left, &How::default());
    let mut deeds = resumed.left.stage.deeds().iter();
    deeds.any(|d| &*d.method == "compute.instances.delete" && d.effective)
}

#[test]
fn a_guard_that_is_not_asked_again() {
    assert!(!deletes_with_its_disk(None));
    assert!(deletes_with_its_disk(Some(Mutant::GuardNotReevaluated)));
}

#[test]
fn a_guard_before_the_open_call_is_settled() {
    is_noticed(Mutant::GuardBeforeSettle, GUARDED, crash_everywhere);
}

#[test]
fn found_taken_for_created() {
    is_noticed(Mutant::AdoptedIsCreated, FOUND, crash_everywhere);
}

#[test]
fn an_acknowledgement_before_the_disk_has_it() {
    is_noticed(Mutant::AcknowledgedBeforeSync, SQL, crash_everywhere);
}

#[test]
fn growth_on_what_is_read_again() {
    is_noticed(Mutant::GrowthReevaluated, GROWS, crash_everywhere);
}
