//! What somebody changed of what a run made is told with its fields; the run's own later writes are none.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use r5flow::catalog::Catalog;
use r5flow::run::Embedded;
use r5flow::run::edit::{Drift, FieldChange, drift};
use r5flow::sim::Cloud;
use r5flow::store::MemoryJournal;
use r5flow::world::clock::VirtualClock;

use crate::edits::{Left, Told, meanwhile, parsed};
use crate::process::{self, examined, finish};

#[test]
fn what_somebody_changed_meanwhile_is_told() {
    let text = r#"
workflow main {
  at { project: "demo", region: "us-central1" }
  step check = ensure compute.healthChecks("hc") { type: "TCP", description: "one", tcpHealthCheck: { port: 80 } }
  step other = ensure compute.healthChecks("own") { type: "TCP", description: "one", tcpHealthCheck: { port: 80 } }
  step own = call compute.healthChecks.patch(other.name) { description: "two" }
  step front = ensure compute.addresses("front") {}
  step back = ensure compute.addresses("back") {}
  step gone = ensure compute.addresses("gone") {}
  step remove = call compute.addresses.delete("gone")
    after gone
}
"#;
    let program = parsed(text).expect("a flow");
    let (checked, errors) = examined(&program);
    assert!(errors.is_empty(), "{errors:?}");
    let (inputs, secrets) = Default::default();
    let told = Told::new(&program, &checked, &inputs, &secrets);
    let fresh = Left {
        entries: Vec::new(),
        sim: process::cloud(),
        now: process::START,
        sent: Vec::new(),
        end: None,
    };
    let mut left = told.run(fresh, vec![told.started()], "");
    assert!(process::is_done(left.end.as_ref()), "{:?}", left.end);
    let drifts = |left: &Left| {
        let clock = VirtualClock::new(left.now);
        let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(left.sim.clone()));
        let log = Rc::new(RefCell::new(Vec::new()));
        let parts = told.parts(MemoryJournal::new(), 1, cloud, &clock, log);
        let past = told.past(&left.entries);
        let side = told.side(past.hooks.clone());
        let catalog = Catalog::embedded();
        finish(drift(
            side,
            &past,
            &catalog,
            left.now,
            &mut Embedded::new(parts),
        ))
    };
    assert_eq!(drifts(&left), []);
    for line in [
        "PATCH compute/v1/projects/demo/global/healthChecks/hc {\"description\":\"mine\",\"checkIntervalSec\":9}",
        "DELETE compute/v1/projects/demo/regions/us-central1/addresses/front",
        "DELETE compute/v1/projects/demo/regions/us-central1/addresses/back",
        "POST compute/v1/projects/demo/regions/us-central1/addresses {\"name\":\"back\"}",
    ] {
        left = meanwhile(left, line).expect("it is done");
    }
    let found: BTreeMap<String, Drift> = drifts(&left)
        .into_iter()
        .map(|d| (d.address.to_string(), d.drift))
        .collect();
    let changed = FieldChange {
        path: "description".into(),
        old: "one".into(),
        new: "mine".into(),
    };
    let wanted = [
        ("check".to_owned(), Drift::Changed(vec![changed])),
        ("front".to_owned(), Drift::Gone),
        ("back".to_owned(), Drift::Remade),
    ];
    assert_eq!(found, wanted.into());
}
