//! Death at every effect: a run that is killed anywhere and resumed ends as the run that was not.
//!
//! Each flow runs once undisturbed. Then, for every effect that it asked for and every fate of that
//! effect, a process dies there and a new one resumes from the journal and the cloud it left. The
//! outputs, the cloud and the number of effective changes of each target must be the same.

use std::collections::BTreeMap;

use r5flow::journal::RunStatus;
use r5flow::run::End;
use r5flow::sim::Sim;
use r5flow::wire::Verb;
use r5flow::world::Millis;
use serde_json::{Value as Json, json};

use crate::dice::Dice;
use crate::rig::{
    self, Case, Death, Fate, Kind, Left, Ran, contents, dump, effective, is_done, keeps_the_order,
};

/// What the run that nobody killed did.
struct Reference {
    end: End,
    changes: BTreeMap<(String, String), usize>,
    contents: BTreeMap<String, Json>,
    effects: Vec<Kind>,
}

impl Reference {
    fn of(case: &Case<'_, '_>, cloud: &Sim) -> Reference {
        let left = Case::fresh(cloud.clone());
        let ran = case.run(left, None);
        keeps_the_order(&[], &ran).unwrap_or_else(|e| panic!("{e}"));
        let end = ran.end.expect("nobody killed it");
        assert!(
            is_done(Some(&end)),
            "undisturbed: {end:#?}\n{}",
            dump(&ran.left.entries)
        );
        Reference {
            end,
            changes: effective(&ran.left.sim),
            contents: contents(&ran.left.sim),
            effects: ran.effects,
        }
    }

    fn compare(&self, ran: &Ran, downtime: Millis) -> Result<(), String> {
        let Some(end) = &ran.end else {
            return Err("the resumed run died".into());
        };
        if downtime == BEYOND_OPERATIONS && end.status == RunStatus::Decision {
            return self.nothing_twice(ran);
        }
        if !is_done(Some(end)) {
            return Err(format!("it ended {:?}: {:?}", end.status, end.failures));
        }
        if end.outputs != self.end.outputs {
            return Err(format!(
                "outputs {:?}, undisturbed {:?}",
                end.outputs, self.end.outputs
            ));
        }
        let changes = effective(&ran.left.sim);
        if changes != self.changes {
            return Err(format!(
                "changes {:#?}, undisturbed {:#?}",
                changes, self.changes
            ));
        }
        let now = contents(&ran.left.sim);
        for (key, wanted) in &self.contents {
            if now.get(key) != Some(wanted) {
                return Err(format!("{key} is {:?}, undisturbed {wanted}", now.get(key)));
            }
        }
        self.nothing_more(&now)
    }

    /// When even the operations are forgotten, some calls show no trace of themselves: then a person
    /// is asked, and nothing was done twice.
    fn nothing_twice(&self, ran: &Ran) -> Result<(), String> {
        for (key, count) in effective(&ran.left.sim) {
            if count > self.changes.get(&key).copied().unwrap_or(0) {
                return Err(format!("{key:?} took effect {count} times"));
            }
        }
        Ok(())
    }

    fn nothing_more(&self, now: &BTreeMap<String, Json>) -> Result<(), String> {
        match now.keys().find(|k| !self.contents.contains_key(*k)) {
            Some(key) => Err(format!("{key} is there and should not be")),
            None => Ok(()),
        }
    }
}

/// The deaths that are worth dying at an effect of this kind.
fn fates(kind: Kind) -> &'static [Fate] {
    match kind {
        Kind::Append => &[Fate::Before, Fate::After, Fate::AfterAll, Fate::Torn],
        Kind::Change => &[Fate::Before, Fate::After, Fate::AfterAll, Fate::Late],
        Kind::Read | Kind::Other => &[Fate::Before],
    }
}

const NO_TIME: Millis = Millis(0);
/// After it a request id is no longer relied on.
const BEYOND_IDS: Millis = Millis::mins(31);
/// After it the simulator has forgotten its operations, and its request ids.
const BEYOND_OPERATIONS: Millis = Millis::mins(25 * 60);

/// Kills the flow everywhere; gives what went wrong.
fn kill_everywhere(name: &str, text: &str, inputs: &Json, cloud: &Sim, late: bool) -> Vec<String> {
    let program = rig::program(text);
    let checked = rig::checked(&program);
    let case = Case::new(&program, &checked, inputs);
    let reference = Reference::of(&case, cloud);
    let mut wrong = Vec::new();
    for (i, kind) in reference.effects.iter().enumerate() {
        for fate in fates(*kind) {
            if *fate == Fate::Late && !late {
                continue;
            }
            let downtimes: &[Millis] = match kind {
                Kind::Append | Kind::Change => &[NO_TIME, BEYOND_IDS, BEYOND_OPERATIONS],
                Kind::Read | Kind::Other => &[NO_TIME],
            };
            for downtime in downtimes {
                let death = Death {
                    at: i + 1,
                    fate: *fate,
                };
                // What arrives more than a day late is no longer the client's request.
                if *fate == Fate::Late && *downtime != NO_TIME {
                    continue;
                }
                if let Err(what) = survives(&case, cloud, &reference, death, *downtime) {
                    wrong.push(format!(
                        "{name}, {death:?} ({kind:?}), {downtime} later: {what}"
                    ));
                }
            }
        }
    }
    wrong
}

fn survives(
    case: &Case<'_, '_>,
    cloud: &Sim,
    reference: &Reference,
    death: Death,
    downtime: Millis,
) -> Result<(), String> {
    let dead = case.run(Case::fresh(cloud.clone()), Some(death));
    keeps_the_order(&[], &dead)?;
    if dead.end.is_some() {
        return Err("it did not die: the trace is not repeatable".into());
    }
    if dead.effects[..] != reference.effects[..death.at] {
        return Err("the trace before the death is not the reference's".into());
    }
    let left = Left {
        now: dead.left.now.plus(downtime),
        ..dead.left
    };
    let before = left.entries.clone();
    let resumed = case.run(left, None);
    let judged =
        keeps_the_order(&before, &resumed).and_then(|()| reference.compare(&resumed, downtime));
    judged.map_err(|what| {
        format!(
            "{what}\n  died with\n{}  resumed to\n{}",
            tail(&dump(&before)),
            tail(&dump(&resumed.left.entries[before.len()..]))
        )
    })
}

/// The last lines of a journal, cut to what a reader needs.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(8);
    lines[from..]
        .iter()
        .map(|line| format!("    {}\n", line.chars().take(700).collect::<String>()))
        .collect()
}

/// Kills the flow, and then the process that resumes it, at seeded places.
fn kill_twice(name: &str, text: &str, cloud: &Sim, times: u64) -> Vec<String> {
    let program = rig::program(text);
    let checked = rig::checked(&program);
    let case = Case::new(&program, &checked, &json!({}));
    let reference = Reference::of(&case, cloud);
    let mut dice = Dice::new(0x5eed);
    let mut wrong = Vec::new();
    for _ in 0..times {
        let first = some_death(&mut dice, &reference.effects);
        let dead = case.run(Case::fresh(cloud.clone()), Some(first));
        let left = dead.left;
        // How long the second process would live shows only when it does.
        let whole = case.run(left.clone(), None);
        if whole.effects.is_empty() {
            continue;
        }
        let second = some_death(&mut dice, &whole.effects);
        let again = case.run(left.clone(), Some(second));
        let judged = keeps_the_order(&left.entries, &again).and_then(|()| {
            let resumed = case.run(again.left.clone(), None);
            keeps_the_order(&again.left.entries, &resumed)?;
            reference.compare(&resumed, NO_TIME)
        });
        if let Err(what) = judged {
            let journal = tail(&dump(&again.left.entries));
            wrong.push(format!(
                "{name}, {first:?}, then {second:?}: {what}\n{journal}"
            ));
        }
    }
    wrong
}

fn some_death(dice: &mut Dice, effects: &[Kind]) -> Death {
    let i = dice.below(effects.len());
    let fates: Vec<Fate> = fates(effects[i])
        .iter()
        .copied()
        .filter(|f| *f != Fate::Late)
        .collect();
    Death {
        at: i + 1,
        fate: fates[dice.below(fates.len())],
    }
}

fn survives_everywhere(name: &str, text: &str, inputs: Json, cloud: &Sim) {
    report(name, kill_everywhere(name, text, &inputs, cloud, true));
}

fn report(name: &str, wrong: Vec<String>) {
    let shown: Vec<&String> = wrong.iter().take(3).collect();
    let list: String = shown.iter().map(|w| format!("\n{w}")).collect();
    assert!(
        wrong.is_empty(),
        "{name}: {} deaths go wrong:{list}",
        wrong.len()
    );
}

/// A cloud in which these calls were made and are done.
fn cloud_with(calls: &[(&str, Json)]) -> Sim {
    let mut sim = rig::cloud();
    for (path, body) in calls {
        let call = r5flow::sim::Call {
            service: None,
            verb: Verb::Post,
            path: (*path).into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        };
        let now = sim.now();
        let reply = sim.handle(&call, now);
        assert_eq!(
            reply.answer.status,
            200,
            "{path}: {:?}",
            String::from_utf8_lossy(&reply.answer.body)
        );
        sim.advance(now.plus(Millis::mins(10)));
    }
    sim
}

const CHECKS: &str = "compute/v1/projects/demo/global/healthChecks";

fn a_check() -> (&'static str, Json) {
    let body = json!({ "name": "hc", "type": "HTTP", "checkIntervalSec": 5, "httpHealthCheck": { "port": 5080 } });
    (CHECKS, body)
}

#[test]
fn ensure_that_inserts() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step check = ensure compute.healthChecks("hc") { type: "HTTP", httpHealthCheck: { port: 5080 } }
  step address = ensure compute.addresses("a", region: "us-central1") { description: check.name }
  output link = check.selfLink
  output region = address.region
}
"#;
    survives_everywhere("insert", text, json!({}), &rig::cloud());
}

#[test]
fn ensure_that_patches() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step check = ensure compute.healthChecks("hc") { type: "HTTP", checkIntervalSec: 9s, httpHealthCheck: { port: 5081 } }
  output port = check.httpHealthCheck.port
  output every = check.checkIntervalSec
}
"#;
    survives_everywhere("patch", text, json!({}), &cloud_with(&[a_check()]));
}

#[test]
fn ensure_that_replaces() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step address = ensure compute.addresses("a", region: "us-central1") { description: "new" }
    on change replace
  output text = address.description
}
"#;
    let old = (
        "compute/v1/projects/demo/regions/us-central1/addresses",
        json!({ "name": "a", "description": "old" }),
    );
    survives_everywhere("replace", text, json!({}), &cloud_with(&[old]));
}

const CALLS: &str = r#"
workflow main {
  at { project: "demo" }
  step made = call compute.healthChecks.insert() { name: "made", type: "TCP", tcpHealthCheck: { port: 80 } }
  step changed = call compute.healthChecks.patch("hc") { description: made.name }
  step gone = call compute.healthChecks.delete("made")
    after changed
  output made = made.selfLink
  output text = changed.description
}
"#;

#[test]
fn calls_that_insert_patch_and_delete() {
    survives_everywhere("calls", CALLS, json!({}), &cloud_with(&[a_check()]));
}

const MACHINE: &str = r#"
workflow main {
  at { project: "demo", zone: "us-central1-a" }
  step keep = call compute.instances.setDiskAutoDelete("stream-manager-1", deviceName: "persistent-disk-0", autoDelete: false)
  step stop = call compute.instances.stop("stream-manager-1")
    after keep
    until it.status == "TERMINATED"
  step gone = call compute.instances.delete("stream-manager-1")
    after stop
    require not one(disk in it.disks where disk.boot).autoDelete
  step image = ensure compute.images("sm") { sourceDisk: "projects/demo/zones/us-central1-a/disks/stream-manager-1" }
    after gone
    until it.status == "READY"
    timeout 30m
  output image = image.selfLink
  output status = stop.status
}
"#;

#[test]
fn calls_that_act_on_a_machine() {
    survives_everywhere("machine", MACHINE, json!({}), &rig::cloud());
}

#[test]
fn a_database_is_patched_and_restarted() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step set = ensure sqladmin.instances("red5") {
    settings: { ipConfiguration: { authorizedNetworks: [{ kind: "sql#aclEntry", name: "nat", value: "203.0.113.9/32" }] } }
  }
  step schema = ensure sqladmin.databases("extra", instance: "red5") { charset: "utf8" }
    after set
  step user = ensure sqladmin.users("sm", instance: "red5", host: "%") { password: "none-of-yours" }
    after schema
  step again = call sqladmin.instances.restart("red5")
    after user
  output schema = schema.name
}
"#;
    // Cloud SQL takes no request id: what leaves late takes effect twice, and nobody can help it.
    let wrong = kill_everywhere("database", text, &json!({}), &rig::cloud(), false);
    report("database", wrong);
}

#[test]
fn a_loop_over_what_was_read() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step all = read compute.regions.list()
  for region in [r.name for r in all.items where r.name != "us-east1"] limit 1 {
    step address = ensure compute.addresses("a", region: region) {}
    step check = ensure compute.healthChecks("hc-${region}") { type: "TCP", tcpHealthCheck: { port: 80 } }
      after address
  }
  if len(all.items) > 2 {
    step more = ensure compute.addresses("more", region: "us-central1") {}
  }
  output links = [c.selfLink for c in check]
}
"#;
    survives_everywhere("growth", text, json!({}), &rig::cloud());
}

const GATES: &str = r#"
hook twice(n: int) -> int = """rhai
  n * 2
  """

workflow inner {
  input n: int
  step address = ensure compute.addresses("in-${n}", region: "us-central1", project: "demo") {}
  checkpoint half
  step check = ensure compute.healthChecks("in-${n}", project: "demo") { type: "TCP", tcpHealthCheck: { port: n } }
  output link = check.selfLink
}

workflow main {
  at { project: "demo" }
  step four = hook twice(2)
  let eight = twice(four)
  step pause = wait 5m
    after four
  checkpoint ready
  step yes = approve "Go on with ${eight}?"
  step take = run inner { n: eight }
    after yes
  step maybe = run inner { n: twice(eight) }
    when yes.approved
    after take
  output link = take.link
  output who = yes.by
}
"#;

#[test]
fn hooks_gates_checkpoints_and_pauses() {
    survives_everywhere("gates", GATES, json!({}), &rig::cloud());
}

#[test]
fn the_resuming_process_dies_too() {
    let mut wrong = Vec::new();
    for (name, text) in [("calls", CALLS), ("machine", MACHINE), ("gates", GATES)] {
        let cloud = cloud_with(&[a_check()]);
        wrong.extend(kill_twice(name, text, &cloud, 60));
    }
    report("two deaths", wrong);
}

#[test]
fn services_without_request_ids() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step topic = ensure pubsub.projects.topics("news") { labels: { a: "1" } }
  step secret = ensure secretmanager.projects.secrets("s") { replication: { automatic: {} } }
  step bucket = ensure storage.buckets("some-bucket") { location: "US" }
  step zone = ensure dns.managedZones("z") { dnsName: "example.com.", description: "d", visibility: "public" }
  step record = ensure dns.resourceRecordSets("www.example.com.", managedZone: zone.name, type: "A") { ttl: 300, rrdatas: ["203.0.113.9"] }
  output topic = topic.name
  output zone = zone.name
}
"#;
    report(
        "no ids",
        kill_everywhere("no ids", text, &json!({}), &rig::cloud(), false),
    );
}
