//! Rolling back: what a run did is taken back, wherever the run died, and wherever the rollback dies.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use r5flow::catalog::Catalog;
use r5flow::check::Checked;
use r5flow::journal::RunStatus;
use r5flow::plan::{Graph, Memo};
use r5flow::run::{Core, Embedded, Mode, Parts, Settings, Stays, drive};
use r5flow::sim::{Cloud, Sim, SimWire};
use r5flow::store::{Journal, MemoryJournal};
use r5flow::wire::{Answer, NoAnswer, Request, Wire};
use r5flow::world::Millis;
use r5flow::world::clock::{Clock, VirtualClock};
use serde_json::{Value as Json, json};

use crate::process::{self, Case, Death, Fate, Left, contents, dump, finish};
use crate::rolling::{
    NOTHING, NoHooks, Nobody, Process, Quiet, Rolled, difference, past, roll_back, somebody, vault,
    verdicts,
};

const STACK: &str = r#"workflow main {
  at { project: "demo" }

  step net = ensure compute.networks("web") { autoCreateSubnetworks: false }

  step sub = ensure compute.subnetworks("web-a", region: "us-central1") {
    network: net.selfLink
    ipCidrRange: "10.1.0.0/24"
  }

  step disk = call compute.disks.insert(zone: "us-central1-a") { name: "d1", sizeGb: 10 }
    undo delete

  step routes = call compute.networks.patch("web") { routingConfig: { routingMode: "GLOBAL" } }
    after sub
    undo call compute.networks.patch("web") { routingConfig: net.routingConfig }
}
"#;

fn stack(run: impl FnOnce(&Checked<'_>, Case<'_, '_>)) {
    let program = process::program(STACK);
    let checked = process::checked(&program);
    let case = Case::new(&program, &checked, &json!({}));
    run(&checked, case);
}

#[test]
fn what_a_run_did_is_taken_back() {
    stack(|checked, case| {
        let cloud = process::cloud();
        let ran = case.run(Case::fresh(cloud.clone()), None);
        assert!(process::is_done(ran.end.as_ref()));
        assert_ne!(contents(&ran.left.sim), contents(&cloud));
        let rolled = roll_back(checked, ran.left);
        assert_eq!(rolled.end.status, RunStatus::Done);
        assert_eq!(difference(&rolled.left.sim, &cloud), NOTHING);
        // What depended on the network went before it.
        let order: Vec<String> = rolled
            .left
            .sim
            .mutations()
            .iter()
            .rev()
            .take(4)
            .map(|m| m.method.clone())
            .collect();
        assert_eq!(order[0], "compute.networks.delete", "{order:?}");
        assert!(
            order.contains(&"compute.disks.delete".to_owned()),
            "{order:?}"
        );
    });
}

#[test]
fn a_foreign_resource_of_the_same_name_survives() {
    stack(|checked, case| {
        let ran = case.run(Case::fresh(process::cloud()), None);
        let mut left = ran.left;
        let disks = "compute/v1/projects/demo/zones/us-central1-a/disks";
        somebody(
            &mut left,
            "compute.disks.delete",
            &format!("{disks}/d1"),
            None,
        );
        somebody(
            &mut left,
            "compute.disks.insert",
            disks,
            Some(json!({ "name": "d1", "sizeGb": "10" })),
        );
        let rolled = roll_back(checked, left);
        assert_eq!(rolled.end.status, RunStatus::Done);
        assert_eq!(verdicts(&rolled.left)["undo disk"], "kept");
        assert_eq!(verdicts(&rolled.left)["undo net"], "undone");
        let there = contents(&rolled.left.sim);
        assert!(
            there.keys().any(|k| k.ends_with("disks/d1")),
            "{:?}",
            there.keys()
        );
        assert!(!there.keys().any(|k| k.ends_with("networks/web")));
    });
}

#[test]
fn what_was_there_before_stays() {
    stack(|checked, case| {
        let mut left = Case::fresh(process::cloud());
        somebody(
            &mut left,
            "compute.networks.insert",
            "compute/v1/projects/demo/global/networks",
            Some(json!({ "name": "web", "autoCreateSubnetworks": false })),
        );
        let before = left.sim.clone();
        let ran = case.run(left, None);
        assert!(process::is_done(ran.end.as_ref()), "{:?}", ran.end);
        let rolled = roll_back(checked, ran.left);
        assert_eq!(rolled.end.status, RunStatus::Done);
        let adopted: Vec<_> = rolled
            .plan
            .staying
            .iter()
            .map(|s| (&*s.address, s.stays))
            .collect();
        assert_eq!(adopted, [("net", Stays::Adopted)]);
        assert_eq!(difference(&rolled.left.sim, &before), NOTHING);
    });
}

#[test]
fn what_somebody_else_uses_is_not_deleted_and_the_user_is_named() {
    stack(|checked, case| {
        let ran = case.run(Case::fresh(process::cloud()), None);
        let mut left = ran.left;
        somebody(
            &mut left,
            "compute.subnetworks.insert",
            "compute/v1/projects/demo/regions/europe-west1/subnetworks",
            Some(json!({
                "name": "theirs",
                "network": "projects/demo/global/networks/web",
                "ipCidrRange": "10.9.0.0/24",
            })),
        );
        let rolled = roll_back(checked, left.clone());
        let end = rolled.end;
        assert_eq!(end.status, RunStatus::Failed);
        let (address, failure) = &end.failures[0];
        assert_eq!(&**address, "undo net");
        assert!(
            failure.message.contains("subnetworks/theirs"),
            "{}",
            failure.message
        );
        // When it is gone, the rollback goes on.
        let mut left = rolled.left;
        somebody(
            &mut left,
            "compute.subnetworks.delete",
            "compute/v1/projects/demo/regions/europe-west1/subnetworks/theirs",
            None,
        );
        let again = roll_back(checked, left);
        assert_eq!(again.end.status, RunStatus::Done);
        assert_eq!(difference(&again.left.sim, &process::cloud()), NOTHING);
    });
}

const CHANGED: &str = r#"workflow main {
  at { project: "demo" }
  step check = ensure compute.healthChecks("probe") {
    type: "TCP"
    tcpHealthCheck: { port: 81 }
    checkIntervalSec: 30s
    description: "new"
  }
}
"#;

fn changed(after: impl FnOnce(&mut Left)) -> (Rolled, Json) {
    let program = process::program(CHANGED);
    let checked = process::checked(&program);
    let case = Case::new(&program, &checked, &json!({}));
    let mut left = Case::fresh(process::cloud());
    let checks = "compute/v1/projects/demo/global/healthChecks";
    let body = json!({
        "name": "probe", "type": "TCP", "tcpHealthCheck": { "port": 80 },
        "checkIntervalSec": 10, "timeoutSec": 3,
    });
    somebody(&mut left, "compute.healthChecks.insert", checks, Some(body));
    let ran = case.run(left, None);
    assert!(process::is_done(ran.end.as_ref()), "{:?}", ran.end);
    let mut left = ran.left;
    after(&mut left);
    let rolled = roll_back(&checked, left);
    let probe = rolled
        .left
        .sim
        .resources()
        .into_iter()
        .find(|(key, _)| key.ends_with("healthChecks/probe"));
    let probe = probe.expect("the health check").1;
    (rolled, probe)
}

#[test]
fn changed_fields_get_their_old_values_back() {
    let (rolled, probe) = changed(|_| {});
    assert_eq!(rolled.end.status, RunStatus::Done);
    assert_eq!(verdicts(&rolled.left)["undo check"], "undone");
    assert_eq!(probe["tcpHealthCheck"]["port"], 80);
    assert_eq!(probe["checkIntervalSec"], 10);
    assert_eq!(probe["timeoutSec"], 3);
    assert!(probe.get("description").is_none_or(|d| d == ""), "{probe}");
}

#[test]
fn what_somebody_changed_since_is_left() {
    let (rolled, probe) = changed(|left| {
        somebody(
            left,
            "compute.healthChecks.patch",
            "compute/v1/projects/demo/global/healthChecks/probe",
            Some(json!({ "checkIntervalSec": 60 })),
        );
    });
    assert_eq!(verdicts(&rolled.left)["undo check"], "kept");
    assert_eq!(probe["checkIntervalSec"], 60);
    assert_eq!(probe["tcpHealthCheck"]["port"], 81);
}

const REPLACED: &str = r#"workflow main {
  at { project: "demo" }
  step image = ensure compute.routes("r") {
    network: "projects/demo/global/networks/default"
    destRange: "10.77.0.0/24"
    nextHopGateway: "projects/demo/global/gateways/default-internet-gateway"
    priority: 20
  }
    on change replace
}
"#;

#[test]
fn what_replaced_another_stays_and_is_told_before() {
    let program = process::program(REPLACED);
    let checked = process::checked(&program);
    let case = Case::new(&program, &checked, &json!({}));
    let mut left = Case::fresh(process::cloud());
    let body = json!({
        "name": "r", "network": "projects/demo/global/networks/default",
        "destRange": "10.77.0.0/24", "priority": 10,
        "nextHopGateway": "projects/demo/global/gateways/default-internet-gateway",
    });
    somebody(
        &mut left,
        "compute.routes.insert",
        "compute/v1/projects/demo/global/routes",
        Some(body),
    );
    let ran = case.run(left, None);
    assert!(process::is_done(ran.end.as_ref()), "{:?}", ran.end);
    let after = ran.left.sim.clone();
    let rolled = roll_back(&checked, ran.left);
    assert!(rolled.plan.undoing.is_empty());
    let lasting: Vec<&str> = rolled.plan.lasting.iter().map(|l| &*l.method).collect();
    assert_eq!(lasting, ["compute.routes.insert", "compute.routes.delete"]);
    assert_eq!(difference(&rolled.left.sim, &after), NOTHING);
}

/// A wire on which the operation of one method fails at its end, and what it made stays.
struct Failing {
    inner: SimWire,
    target: &'static str,
}

impl Wire for Failing {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        patience: Millis,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + 'a>> {
        Box::pin(async move {
            let mut answer = self.inner.send(request, patience).await?;
            let mut body: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
            let link = body["targetLink"].as_str().unwrap_or_default();
            if request.method.contains("Operations")
                && link.ends_with(self.target)
                && body["operationType"] == "insert"
                && body["status"] == "DONE"
            {
                body["error"] =
                    json!({ "errors": [{ "code": "INTERNAL_ERROR", "message": "it broke" }] });
                answer.body = body.to_string().into_bytes();
            }
            Ok(answer)
        })
    }
}

#[test]
fn what_a_failed_operation_left_goes_too() {
    let text = r#"workflow main {
  at { project: "demo" }
  step disk = call compute.disks.insert(zone: "us-central1-a") { name: "d1", sizeGb: 10 }
    undo delete
}
"#;
    let program = process::program(text);
    let checked = process::checked(&program);
    let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(process::cloud()));
    let clock = VirtualClock::new(cloud.borrow().sim().now());
    let shared_clock: Rc<dyn Clock> = Rc::new(clock.clone());
    let journal = MemoryJournal::new();
    let (_stop, stops) = tokio::sync::mpsc::unbounded_channel();
    let wire = Failing {
        inner: SimWire::new(Rc::clone(&cloud), Rc::clone(&shared_clock)),
        target: "disks/d1",
    };
    // The beginning of a journal, as the rig writes it.
    let case = Case::new(&program, &checked, &json!({}));
    let death = Death {
        at: 1,
        fate: Fate::Before,
    };
    let begun = case
        .run(Case::fresh(process::cloud()), Some(death))
        .left
        .entries;
    let journal = match journal.read().expect("a journal").entries.is_empty() {
        true => MemoryJournal::with(begun),
        false => journal,
    };
    let (state, _) = past(&journal, &vault());
    let root = program.root().id;
    let flow = checked.names.flows_of(root).next().expect("a flow").id;
    let memo = Memo::default();
    let graph = Graph::build(&checked.names, flow, BTreeMap::new(), &memo).expect("a graph");
    let mut engine = Embedded::new(Parts {
        journal: Box::new(journal.clone()),
        next_seq: state.seq + 1,
        vault: vault(),
        wire: Rc::new(wire),
        clock: shared_clock,
        hooks: Rc::new(NoHooks),
        inbox: Rc::new(Nobody),
        observer: Rc::new(Quiet),
        stops,
    });
    let settings = Settings::new(Mode::Run);
    let mut core = Core::new(
        graph,
        memo,
        state,
        Catalog::embedded(),
        settings,
        Rc::new(Quiet),
    );
    let end = finish(drive(&mut core, &mut engine, clock.now())).expect("an end");
    assert_eq!(end.status, RunStatus::Failed, "{end:?}");
    drop(core);
    engine.close();
    let left = Left {
        entries: journal.read().expect("a journal").entries,
        sim: cloud.borrow().sim().clone(),
        now: clock.now(),
        late: None,
    };
    let disk = |sim: &Sim| contents(sim).keys().any(|k| k.ends_with("disks/d1"));
    assert!(disk(&left.sim), "the broken disk is there");
    let text = dump(&left.entries);
    assert!(text.contains("\"broken\""), "{text}");
    let rolled = roll_back(&checked, left);
    assert_eq!(rolled.end.status, RunStatus::Done);
    assert!(!disk(&rolled.left.sim), "the broken disk is gone");
}

const PROTECTED: &str = r#"workflow main {
  at { project: "demo" }
  step ip = ensure compute.globalAddresses("front") {}
    protect
  step check = ensure compute.healthChecks("probe") { type: "TCP", tcpHealthCheck: { port: 80 } }
}
"#;

#[test]
fn what_the_flow_protects_stays() {
    let program = process::program(PROTECTED);
    let checked = process::checked(&program);
    let case = Case::new(&program, &checked, &json!({}));
    let ran = case.run(Case::fresh(process::cloud()), None);
    let rolled = roll_back(&checked, ran.left);
    let there = contents(&rolled.left.sim);
    assert!(there.keys().any(|k| k.ends_with("addresses/front")));
    assert!(!there.keys().any(|k| k.ends_with("healthChecks/probe")));
    let staying: Vec<_> = rolled
        .plan
        .staying
        .iter()
        .map(|s| (&*s.address, s.stays))
        .collect();
    assert_eq!(staying, [("ip", Stays::Protected)]);
}

const CHECKPOINTS: &str = r#"workflow main {
  at { project: "demo" }
  step a = ensure compute.globalAddresses("a") {}
  checkpoint half
  step b = ensure compute.globalAddresses("b") { description: "after ${a.name}" }
}
"#;

#[test]
fn to_a_checkpoint_and_on_again() {
    let program = process::program(CHECKPOINTS);
    let checked = process::checked(&program);
    let case = Case::new(&program, &checked, &json!({}));
    let ran = case.run(Case::fresh(process::cloud()), None);
    let after = ran.left.sim.clone();
    let half = Process {
        checked: &checked,
        to: Some("half"),
        vault: vault(),
    };
    let rolled = half.run(ran.left);
    assert_eq!(rolled.end.status, RunStatus::Done);
    let there = contents(&rolled.left.sim);
    assert!(there.keys().any(|k| k.ends_with("addresses/a")));
    assert!(!there.keys().any(|k| k.ends_with("addresses/b")));
    let again = case.run(rolled.left, None);
    assert!(process::is_done(again.end.as_ref()), "{:?}", again.end);
    assert_eq!(difference(&again.left.sim, &after), NOTHING);
    let made = process::effective(&again.left.sim);
    let inserts: Vec<usize> = made
        .iter()
        .filter(|((method, _), _)| method.ends_with("insert"))
        .map(|(_, n)| *n)
        .collect();
    assert_eq!(inserts.iter().sum::<usize>(), 3, "b was made twice, a once");
    let whole = roll_back(&checked, again.left);
    assert_eq!(whole.end.status, RunStatus::Done);
    assert_eq!(difference(&whole.left.sim, &process::cloud()), NOTHING);
}

#[test]
fn deletions_name_the_number_of_what_was_created() {
    stack(|checked, case| {
        let ran = case.run(Case::fresh(process::cloud()), None);
        let rolled = roll_back(checked, ran.left);
        let entries = rolled.left.entries.iter().map(|e| e.body.clone());
        let deletions: Vec<Json> = entries
            .filter_map(|body| serde_json::from_str::<Json>(&body).ok())
            .filter(|e| e["event"] == "intent" && e["intent"]["request"]["verb"] == "DELETE")
            .collect();
        assert_eq!(deletions.len(), 3);
        for event in deletions {
            let path = event["intent"]["request"]["path"].as_str().expect("a path");
            let last = path.rsplit('/').next().expect("a part");
            assert!(last.bytes().all(|b| b.is_ascii_digit()), "{path}");
            assert_eq!(event["intent"]["before"]["id"], last);
        }
    });
}
