//! Hazards that need a certain moment: a process dies there, somebody does something, and another
//! process goes on. The page `docs/hazards.md` tells which test holds which row.

use r5flow::journal::RunStatus;
use r5flow::sim::{Call, Sim};
use r5flow::wire::Verb;
use r5flow::world::Millis;
use serde_json::{Value as Json, json};

use crate::crash::cloud_with;
use crate::meddler::{Meddler, Meddling};
use crate::process::{self, Case, Death, Fate, Kind, Left, Mark, Ran, effective};

const ADDRESSES: &str = "compute/v1/projects/demo/regions/us-central1/addresses";

/// A flow on a cloud that stands at its beginning.
struct Scene {
    text: String,
    cloud: Sim,
}

impl Scene {
    fn new(steps: &str, cloud: Sim) -> Scene {
        let place = "  at { project: \"demo\", region: \"us-central1\", zone: \"us-central1-a\" }";
        Scene {
            text: format!("workflow main {{\n{place}\n{steps}\n}}\n"),
            cloud,
        }
    }

    fn play<T>(&self, play: impl FnOnce(&mut Case<'_, '_>) -> T) -> T {
        let program = process::program(&self.text);
        let checked = process::checked(&program);
        play(&mut Case::new(&program, &checked, &json!({})))
    }

    /// What is left of a process that died at its first sending of a method.
    fn killed(&self, method: &str, fate: Fate) -> Left {
        self.play(|case| {
            let whole = case.run(Case::fresh(self.cloud.clone()), None);
            let at = sending(&whole, method)
                .unwrap_or_else(|| panic!("`{method}` is never sent: {:#?}", whole.end));
            let ran = case.run(Case::fresh(self.cloud.clone()), Some(Death { at, fate }));
            assert!(ran.end.is_none(), "it did not die");
            ran.left
        })
    }

    fn run(&self, left: Left) -> Ran {
        self.play(|case| case.run(left, None))
    }

    fn run_with(
        &self,
        left: Left,
        script: impl Fn(&r5flow::wire::Request, usize) -> Option<Meddling> + 'static,
    ) -> Ran {
        self.play(|case| {
            case.meddler = Some(Meddler::new(script));
            case.run(left, None)
        })
    }
}

/// The number of the effect that sends a method for the first time.
fn sending(ran: &Ran, method: &str) -> Option<usize> {
    let mut sent = ran.trace.iter().filter_map(|m| match m {
        Mark::Sent(request) => Some(request),
        _ => None,
    });
    let nth = sent.position(|r| &*r.method == method)?;
    let sends = ran.effects.iter().enumerate();
    let found = sends
        .filter(|(_, kind)| matches!(kind, Kind::Read | Kind::Change))
        .nth(nth);
    found.map(|(at, _)| at + 1)
}

/// Somebody else's call, and ten minutes.
fn meanwhile(left: &mut Left, verb: Verb, path: &str, body: Json) {
    let call = Call {
        service: None,
        verb,
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: match body {
            Json::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        },
    };
    let reply = left.sim.handle(&call, left.now);
    let said = String::from_utf8_lossy(&reply.answer.body).into_owned();
    assert_eq!(reply.answer.status, 200, "{path}: {said}");
    later(left, Millis::mins(10));
}

fn later(left: &mut Left, span: Millis) {
    left.now = left.now.plus(span);
    left.sim.advance(left.now);
}

/// The changes that a process sent.
fn sent(ran: &Ran) -> Vec<String> {
    let marks = ran.trace.iter().filter_map(|m| match m {
        Mark::Sent(request) if process::changes(request) => Some(request.method.to_string()),
        _ => None,
    });
    marks.collect()
}

fn status(ran: &Ran) -> RunStatus {
    ran.end.as_ref().expect("nobody killed it").status
}

fn done(ran: &Ran) {
    assert_eq!(status(ran), RunStatus::Done, "{:#?}", ran.end);
}

fn times(sim: &Sim, method: &str) -> usize {
    let all = effective(sim);
    all.iter()
        .filter(|((m, _), _)| m == method)
        .map(|(_, n)| n)
        .sum()
}

fn address(sim: &Sim, name: &str) -> Option<Json> {
    let path = format!("projects/demo/regions/us-central1/addresses/{name}");
    sim.resource("compute", &path)
}

fn an_address(text: &str) -> Sim {
    cloud_with(&[(ADDRESSES, json!({ "name": "a", "description": text }))])
}

const DELETE: &str = "compute.addresses.delete";
const INSERT: &str = "compute.addresses.insert";

/// Whoever deleted it first made a new one of the same name: that one is not ours to delete.
#[test]
fn a_lost_delete_spares_the_successor() {
    let scene = Scene::new(
        "  step gone = call compute.addresses.delete(\"a\")",
        an_address("old"),
    );
    for fate in [Fate::Before, Fate::After] {
        let mut left = scene.killed(DELETE, fate);
        if fate == Fate::Before {
            meanwhile(
                &mut left,
                Verb::Delete,
                &format!("{ADDRESSES}/a"),
                Json::Null,
            );
        } else {
            later(&mut left, Millis::mins(10));
        }
        let body = json!({ "name": "a", "description": "theirs" });
        meanwhile(&mut left, Verb::Post, ADDRESSES, body);
        let ran = scene.run(left);
        done(&ran);
        assert_eq!(sent(&ran), [""; 0], "{fate:?}");
        let there = address(&ran.left.sim, "a").expect("the successor");
        assert_eq!(there["description"], "theirs");
    }
}

/// The delete of the first step arrives when the second has made the resource anew.
#[test]
fn a_delete_that_comes_late_does_not_reach_the_new_one() {
    let scene = Scene::new(
        "  step gone = call compute.addresses.delete(\"a\")
  step anew = ensure compute.addresses(\"a\") { description: \"new\" }
    after gone",
        an_address("old"),
    );
    let mut left = scene.killed(DELETE, Fate::Late);
    let ghost = left.late.take().expect("a request on its way");
    let whole = scene.run(left.clone());
    done(&whole);
    assert_eq!(sent(&whole), [DELETE, INSERT]);
    // The new one is there when the old request comes.
    let death = Death {
        at: sending(&whole, INSERT).expect("it was sent"),
        fate: Fate::After,
    };
    let mut left = scene.play(|case| case.run(left, Some(death))).left;
    let call = Call {
        service: None,
        verb: ghost.verb,
        path: ghost.path.clone(),
        query: ghost.query.clone(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    later(&mut left, Millis::mins(5));
    let now = left.now;
    left.sim.handle(&call, now);
    let ran = scene.run(left);
    done(&ran);
    assert_eq!(sent(&ran), [""; 0]);
    let there = address(&ran.left.sim, "a").expect("the new one");
    assert_eq!(there["description"], "new");
    assert_eq!(times(&ran.left.sim, DELETE), 1);
}

/// Cloud SQL takes no request ids: nothing is created before the delete of its name is done.
#[test]
fn no_database_is_created_before_the_delete_of_its_name_is_done() {
    let scene = Scene::new(
        "  step old = call sqladmin.databases.insert(instance: \"red5\") { name: \"d\", charset: \"utf8\" }
  step gone = call sqladmin.databases.delete(\"d\", instance: \"red5\")
    after old
  step anew = ensure sqladmin.databases(\"d\", instance: \"red5\") { charset: \"utf8\" }
    after gone",
        process::cloud(),
    );
    let (delete, insert) = ("sqladmin.databases.delete", "sqladmin.databases.insert");
    let left = scene.killed(delete, Fate::After);
    let ran = scene.run(left);
    done(&ran);
    assert_eq!(sent(&ran), [insert]);
    assert_eq!(
        (times(&ran.left.sim, delete), times(&ran.left.sim, insert)),
        (1, 2)
    );
    let polled = ran
        .trace
        .iter()
        .position(|m| matches!(m, Mark::Sent(r) if r.method.starts_with("sqladmin.operations.")));
    let inserted = ran
        .trace
        .iter()
        .position(|m| matches!(m, Mark::Sent(r) if &*r.method == insert));
    assert!(polled < inserted, "{polled:?} {inserted:?}");
}

/// Who may not look does not find nothing.
#[test]
fn somebody_who_may_not_look_sends_nothing() {
    let scene = Scene::new(
        "  step made = ensure compute.addresses(\"a\") {}",
        process::cloud(),
    );
    for fate in [Fate::Before, Fate::After] {
        let left = scene.killed(INSERT, fate);
        let ran = scene.run_with(left, |request, _| {
            let message = format!("Required permission for '{}'", request.path);
            let error = json!({ "error": { "code": 403, "message": message,
                "errors": [{ "message": message, "domain": "global", "reason": "forbidden" }] } });
            (request.verb == Verb::Get).then_some(Meddling::Answer(403, error))
        });
        assert_eq!(status(&ran), RunStatus::Permission, "{fate:?}");
        assert_eq!(sent(&ran), [""; 0], "{fate:?}");
        let mut left = ran.left;
        left.now = left.sim.now();
        let ran = scene.run(left);
        done(&ran);
        assert_eq!(times(&ran.left.sim, INSERT), 1, "{fate:?}");
    }
}

/// The server numbers versions of secrets: nobody can tell whose the newest one is.
#[test]
fn a_version_whose_answer_was_lost_is_not_added_again() {
    let add = "secretmanager.projects.secrets.addVersion";
    let steps = |word: &str| {
        format!(
            "  step kept = ensure secretmanager.projects.secrets(\"s\") {{ replication: {{ automatic: {{}} }} }}
  step version = call {add}(\"s\") {{ payload: {{ data: \"eWVz\" }} }}
    after kept
    {word}"
        )
    };
    for fate in [Fate::Before, Fate::After] {
        let scene = Scene::new(&steps("on doubt ask"), process::cloud());
        let ran = scene.run(scene.killed(add, fate));
        assert_eq!(status(&ran), RunStatus::Decision, "{fate:?}");
        assert_eq!(sent(&ran), [""; 0], "{fate:?}");
        let versions = usize::from(fate == Fate::After);
        assert_eq!(times(&ran.left.sim, add), versions);
    }
    let scene = Scene::new(&steps("repeat safe"), process::cloud());
    let ran = scene.run(scene.killed(add, Fate::After));
    done(&ran);
    assert_eq!(times(&ran.left.sim, add), 2);
}

/// A key is shown once. Where its answer was lost, a person is asked, and no second key is made.
#[test]
fn a_key_whose_answer_was_lost_is_not_made_again() {
    let create = "iam.projects.serviceAccounts.keys.create";
    let scene = Scene::new(
        &format!(
            "  step account = call iam.projects.serviceAccounts.create() {{ accountId: \"robot-one\" }}
  step key = call {create}(serviceAccount: \"robot-one@demo.iam.gserviceaccount.com\") {{}}
    after account
    on doubt ask"
        ),
        process::cloud(),
    );
    let ran = scene.run(scene.killed(create, Fate::After));
    assert_eq!(status(&ran), RunStatus::Decision, "{:#?}", ran.end);
    assert_eq!(times(&ran.left.sim, create), 1);
}

const BACKENDS: &str = "compute/v1/projects/demo/global/backendServices";

fn a_backend() -> Sim {
    let body = json!({ "name": "web", "description": "old", "loadBalancingScheme": "EXTERNAL_MANAGED",
        "protocol": "HTTP", "timeoutSec": 30 });
    cloud_with(&[(BACKENDS, body)])
}

const BACKEND: &str =
    "  step web = ensure compute.backendServices(\"web\") { description: \"new\" }";
const PATCH: &str = "compute.backendServices.patch";

fn backend(sim: &Sim) -> Json {
    sim.resource("compute", "projects/demo/global/backendServices/web")
        .expect("the backend service")
}

/// Its own success is no conflict.
#[test]
fn a_patch_whose_answer_was_lost_is_seen_and_not_sent_again() {
    let scene = Scene::new(BACKEND, a_backend());
    let mut left = scene.killed(PATCH, Fate::After);
    // The operation is forgotten, so that only the fields tell.
    later(&mut left, Millis::mins(60 * 30));
    let ran = scene.run(left);
    done(&ran);
    assert_eq!(sent(&ran), [""; 0]);
    assert_eq!(times(&ran.left.sim, PATCH), 1);
}

/// Somebody else wrote meanwhile: the old request is not repeated, its fields are computed anew.
#[test]
fn a_patch_on_an_older_version_is_computed_anew() {
    let scene = Scene::new(BACKEND, a_backend());
    let mut left = scene.killed(PATCH, Fate::Before);
    let path = format!("{BACKENDS}/web");
    let mut now = backend(&left.sim);
    now["timeoutSec"] = json!(77);
    meanwhile(&mut left, Verb::Put, &path, now);
    later(&mut left, Millis::mins(60 * 30));
    let fingerprint = backend(&left.sim)["fingerprint"].clone();
    let ran = scene.run(left);
    done(&ran);
    assert_eq!(sent(&ran), [PATCH]);
    let request = ran.trace.iter().find_map(|m| match m {
        Mark::Sent(r) if &*r.method == PATCH => r.body.clone(),
        _ => None,
    });
    assert_eq!(request.expect("a body")["fingerprint"], fingerprint);
    let found = backend(&ran.left.sim);
    assert_eq!(
        (&found["description"], &found["timeoutSec"]),
        (&json!("new"), &json!(77))
    );
}

const SQL: &str = "sql/v1beta4/projects/demo/instances/red5";
const SQL_PATCH: &str = "sqladmin.instances.patch";

/// Four ways in which a database may look when the answer to its patch was lost.
#[test]
fn a_lost_patch_of_a_database_is_judged_by_its_fields() {
    let scene = Scene::new(
        "  step set = call sqladmin.instances.patch(\"red5\") { settings: { userLabels: { by: \"us\" } } }",
        process::cloud(),
    );
    let by = |who: &str| json!({ "settings": { "userLabels": { "by": who } } });
    let cases = [
        (Fate::After, None, 0),
        (Fate::Before, None, 1),
        (Fate::Before, Some(by("us")), 0),
        (Fate::Before, Some(by("them")), 1),
        (Fate::After, Some(by("them")), 1),
    ];
    for (fate, theirs, sends) in cases {
        let mut left = scene.killed(SQL_PATCH, fate);
        if let Some(theirs) = &theirs {
            later(&mut left, Millis::mins(10));
            meanwhile(&mut left, Verb::Patch, SQL, theirs.clone());
        }
        let ran = scene.run(left);
        done(&ran);
        assert_eq!(sent(&ran).len(), sends, "{fate:?} {theirs:?}");
        let found = ran
            .left
            .sim
            .resource("sqladmin", "projects/demo/instances/red5");
        let found = found.expect("the instance");
        assert_eq!(found.pointer("/settings/userLabels/by"), Some(&json!("us")));
    }
}

/// Writing back a whole resource keeps what others wrote into it.
#[test]
fn what_is_written_back_as_a_whole_keeps_foreign_fields() {
    let get = "compute/v1/projects/demo/zones/us-central1-a/instances/stream-manager-1";
    let scene = Scene::new(
        "  step vm = ensure compute.instances(\"stream-manager-1\") { labels: { role: \"manager\" } }",
        process::cloud(),
    );
    let mut fresh = Case::fresh(scene.cloud.clone());
    let before = fresh.sim.resource("compute", &get["compute/v1/".len()..]);
    let fingerprint = before.as_ref().expect("the machine")["labelFingerprint"].clone();
    let theirs = json!({ "labels": { "team": "video" }, "labelFingerprint": fingerprint });
    meanwhile(&mut fresh, Verb::Post, &format!("{get}/setLabels"), theirs);
    let before = fresh.sim.resource("compute", &get["compute/v1/".len()..]);
    let before = before.expect("the machine");
    let ran = scene.run(fresh);
    done(&ran);
    assert_eq!(sent(&ran), ["compute.instances.update"]);
    let after = ran
        .left
        .sim
        .resource("compute", &get["compute/v1/".len()..]);
    let after = after.expect("the machine");
    assert_eq!(
        after["labels"],
        json!({ "role": "manager", "team": "video" })
    );
    for at in [
        "/machineType",
        "/disks/0/source",
        "/networkInterfaces/0/network",
        "/tags/items",
    ] {
        assert_eq!(after.pointer(at), before.pointer(at), "{at}");
    }
}

/// A replacement died between its halves, and somebody else was there meanwhile.
#[test]
fn the_second_half_of_a_replacement_looks_again() {
    let scene = Scene::new(
        "  step address = ensure compute.addresses(\"a\") { description: \"new\" }
    on change replace",
        an_address("old"),
    );
    let theirs = |text: &str| json!({ "name": "a", "description": text });
    let cases: [(_, &[&str]); 3] = [
        (None, &[INSERT]),
        (Some(theirs("new")), &[]),
        (Some(theirs("theirs")), &[DELETE, INSERT]),
    ];
    for (foreign, wanted) in cases {
        let mut left = scene.killed(INSERT, Fate::Before);
        assert!(address(&left.sim, "a").is_none());
        if let Some(body) = foreign.clone() {
            meanwhile(&mut left, Verb::Post, ADDRESSES, body);
        }
        let ran = scene.run(left);
        done(&ran);
        assert_eq!(sent(&ran), wanted, "{foreign:?}");
        let there = address(&ran.left.sim, "a").expect("the address");
        assert_eq!(there["description"], "new");
    }
}

/// The age of an intent is the server's: a clock that is wrong decides nothing.
#[test]
fn the_age_of_an_intent_is_told_by_the_server() {
    let reset = "compute.instances.reset";
    let scene = Scene::new(
        "  step again = call compute.instances.reset(\"stream-manager-1\")",
        process::cloud(),
    );
    // (what passes by our clock, how far the server's is behind ours then, how it goes on)
    let hours = |h: i64| Millis::mins(60 * h);
    let cases = [
        (Millis::mins(1), Millis(0), RunStatus::Done),
        (hours(2), hours(2), RunStatus::Done),
        (Millis::mins(1), Millis(-hours(26).0), RunStatus::Decision),
    ];
    for (passes, behind, wanted) in cases {
        let mut left = scene.killed(reset, Fate::Before);
        later(&mut left, passes);
        let ran = scene.play(|case| {
            case.meddler = Some(Meddler::behind(behind));
            case.run(left, None)
        });
        assert_eq!(
            status(&ran),
            wanted,
            "{passes:?} {behind:?}: {:#?}",
            ran.end
        );
        assert_eq!(
            times(&ran.left.sim, reset),
            usize::from(wanted == RunStatus::Done)
        );
    }
}

/// What the run's own identity makes of a request survives a death, word for word.
#[test]
fn a_request_with_the_time_of_the_run_is_sent_again_as_it_was() {
    let scene = Scene::new(
        "  step made = ensure compute.addresses(\"a\") { description: \"${run.started} ${run.id}\" }",
        process::cloud(),
    );
    let mut left = scene.killed(INSERT, Fate::Before);
    let intended = |entries: &[r5flow::store::Entry]| -> Vec<Json> {
        let events = entries
            .iter()
            .map(|e| serde_json::from_str::<Json>(&e.body).expect("JSON"));
        events
            .filter(|e| e["event"] == "intent")
            .map(|e| e["request"].clone())
            .collect()
    };
    let first = intended(&left.entries);
    later(&mut left, Millis::mins(5));
    let ran = scene.run(left);
    done(&ran);
    assert_eq!(intended(&ran.left.entries), first);
    assert_eq!(times(&ran.left.sim, INSERT), 1);
}

/// A group of two machines, scaled by an autoscaler to three.
const GROUP: &str = "  step one = ensure compute.instanceTemplates(\"t1\") {
    properties: {
      machineType: \"e2-small\"
      disks: [{ boot: true, initializeParams: { sourceImage: \"projects/debian-cloud/global/images/family/debian-12\" } }]
      networkInterfaces: [{ network: \"global/networks/default\" }]
    }
  }
  step group = ensure compute.instanceGroupManagers(\"g\") {
    instanceTemplate: one.selfLink
    baseInstanceName: \"g\"
    targetSize: 2
  }
    until it.status.isStable
";

#[test]
fn a_size_that_the_autoscaler_moved_is_left_alone() {
    let scaled = format!(
        "{GROUP}  step scaler = ensure compute.autoscalers(\"g\") {{
    target: group.selfLink
    autoscalingPolicy: {{ minNumReplicas: 3, maxNumReplicas: 5, cpuUtilization: {{ utilizationTarget: 0.6 }} }}
  }}"
    );
    let scene = Scene::new(&scaled, process::cloud());
    let first = scene.run(Case::fresh(scene.cloud.clone()));
    done(&first);
    let group = "projects/demo/zones/us-central1-a/instanceGroupManagers/g";
    let size = |sim: &Sim| sim.resource("compute", group).expect("the group")["targetSize"].clone();
    assert_eq!(size(&first.left.sim), 3);
    let second = scene.run(Case::fresh(first.left.sim));
    done(&second);
    assert_eq!(sent(&second), [""; 0]);
    assert_eq!(size(&second.left.sim), 3);
}

/// After the operation of its patch a group tells for some seconds that it is stable, as before.
#[test]
fn a_group_that_looks_stable_from_before_is_not_believed() {
    let template = GROUP.lines().take(7).collect::<Vec<_>>().join("\n");
    let other = template
        .replace("step one", "step two")
        .replace("\"t1\"", "\"t2\"");
    let scene = Scene::new(
        &format!(
            "{GROUP}{other}
  step roll = call compute.instanceGroupManagers.patch(\"g\") {{
    versions: [{{ instanceTemplate: two.selfLink }}]
    updatePolicy: {{ type: \"PROACTIVE\" }}
  }}
    after group
    until it.status.isStable
  step machines = read compute.instanceGroupManagers.listManagedInstances(\"g\")
    after roll
  output templates = [basename(m.version.instanceTemplate) for m in machines.managedInstances]"
        ),
        process::cloud(),
    );
    let ran = scene.run(Case::fresh(scene.cloud.clone()));
    done(&ran);
    let templates = ran.end.expect("an end").outputs["templates"].to_json();
    assert_eq!(templates, json!(["t2", "t2"]));
}

/// Its operation says that it was made, though no read shows it yet.
#[test]
fn what_does_not_show_yet_is_not_made_twice() {
    let scenario = r5flow::sim::Scenario::parse(
        "[[faults]]\nkind = \"not visible yet\"\nmethod = \"compute.addresses.insert\"\ndelay = \"8s\"\n",
    );
    let cloud = Sim::new(
        r5flow::catalog::Catalog::embedded(),
        scenario.expect("a scenario"),
        process::START,
    );
    let scene = Scene::new("  step made = ensure compute.addresses(\"a\") {}", cloud);
    let ran = scene.run(scene.killed(INSERT, Fate::After));
    done(&ran);
    assert_eq!(sent(&ran), [""; 0]);
    assert_eq!(times(&ran.left.sim, INSERT), 1);
}
