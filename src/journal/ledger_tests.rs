use serde_json::json;

use super::*;
use crate::journal::{RunStatus, State};
use crate::wire::error::{ApiError, ErrorClass};
use crate::wire::{Request, Verb};
use crate::world::Timestamp;

fn request(path: &str) -> Request {
    Request {
        method: "compute.disks.insert".into(),
        verb: Verb::Post,
        path: path.into(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
    }
}

fn intent(address: &str, call: u32) -> Event {
    Event::Intent {
        address: address.into(),
        intent: Box::new(Intent {
            call,
            generation: call,
            request: request(address),
            request_id: None,
            before: serde_json::Value::Null,
            server_time: None,
        }),
    }
}

fn told(address: &str, call: u32) -> Event {
    let undo = Undo::Delete {
        get: request("get"),
        delete: request("delete"),
    };
    Event::Undo {
        address: address.into(),
        call,
        undo: Box::new(undo),
    }
}

fn called(address: &str, call: u32, result: CallResult) -> Event {
    Event::Called {
        address: address.into(),
        call,
        result,
    }
}

fn ok(incarnation: Option<&str>) -> CallResult {
    CallResult::Ok {
        origin: Origin::Created,
        answer: serde_json::Value::Null,
        incarnation: incarnation.map(str::to_owned),
    }
}

fn failed() -> ApiError {
    ApiError {
        class: ErrorClass::Invalid,
        status: 400,
        reason: String::new(),
        message: String::new(),
        retry_after: None,
        details: serde_json::Value::Null,
    }
}

fn done(address: &str, verdict: Verdict, value: serde_json::Value) -> Event {
    Event::Finished {
        address: address.into(),
        began: Timestamp(0),
        outcome: Outcome::Done { verdict, value },
    }
}

fn ledger(events: &[Event]) -> Ledger {
    let mut ledger = Ledger::default();
    for (n, event) in events.iter().enumerate() {
        ledger.apply(n as u64 + 1, event);
    }
    ledger
}

#[test]
fn a_call_counts_unless_it_certainly_had_no_effect() {
    let broken = CallResult::Broken {
        error: failed(),
        incarnation: Some("7".into()),
    };
    let events = [
        told("open", 1),
        intent("open", 1),
        intent("void", 1),
        Event::Voided {
            address: "void".into(),
            call: 1,
        },
        intent("refused", 1),
        called("refused", 1, CallResult::Failed { error: failed() }),
        intent("broken", 1),
        called("broken", 1, broken),
    ];
    let calls = ledger(&events).calls_since(0);
    let seen: Vec<(&str, &Became)> = calls.iter().map(|m| (&*m.address, &m.became)).collect();
    let left = Became::Broken {
        incarnation: Some("7".into()),
    };
    assert_eq!(seen, [("open", &Became::Open), ("broken", &left)]);
    assert!(calls[0].undo.is_some());
    assert_eq!((calls[0].begun, calls[0].over), (2, u64::MAX));
    assert_eq!((calls[1].begun, calls[1].over), (7, 8));
}

#[test]
fn what_is_told_with_the_end_of_a_step_counts_more() {
    let late = Event::Undo {
        address: "a".into(),
        call: 1,
        undo: Box::new(Undo::Protected),
    };
    let events = [told("a", 1), intent("a", 1), called("a", 1, ok(None)), late];
    let calls = ledger(&events).calls_since(0);
    assert_eq!(calls[0].undo, Some(Undo::Protected));
}

#[test]
fn the_value_of_the_step_tells_the_incarnation_where_the_operation_did_not() {
    let events = [
        intent("a", 1),
        called("a", 1, ok(None)),
        done("a", Verdict::Created, json!({ "id": "42" })),
        intent("b", 1),
        called("b", 1, ok(Some("1"))),
        done("b", Verdict::Created, json!({ "id": "2" })),
    ];
    let of = |made: &Made| match &made.became {
        Became::Took { incarnation, .. } => incarnation.clone(),
        _ => None,
    };
    let calls = ledger(&events).calls_since(0);
    let seen: Vec<_> = calls.iter().map(of).collect();
    assert_eq!(seen, [Some("42".to_owned()), Some("1".to_owned())]);
}

#[test]
fn a_checkpoint_parts_the_calls() {
    let events = [
        intent("a", 1),
        called("a", 1, ok(None)),
        done("half", Verdict::Passed, serde_json::Value::Null),
        done("net", Verdict::Adopted, serde_json::Value::Null),
        intent("b", 1),
    ];
    let ledger = ledger(&events);
    let entry = ledger.reached("half").expect("reached");
    assert_eq!(ledger.reached("other"), None);
    let since: Vec<String> = ledger
        .calls_since(entry)
        .iter()
        .map(|m| m.address.to_string())
        .collect();
    assert_eq!(since, ["b"]);
    assert_eq!(ledger.stayed_since(entry).count(), 1);
    assert_eq!(
        ledger.addresses_since(entry),
        [Address::from("b"), Address::from("net")]
    );
}

#[test]
fn what_is_undone_is_forgotten_and_undoing_is_no_doing() {
    let events = [
        intent("a", 1),
        called("a", 1, ok(None)),
        intent("undo a", 1),
        called("undo a", 1, ok(None)),
        Event::Undone {
            addresses: vec!["a".into()],
        },
        intent("a", 2),
    ];
    let calls = ledger(&events).calls_since(0);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].intent.call, 2);
    assert_eq!(&*calls[0].undo_address(), "undo a#2");
}

/// The state of a run after its rollback: nothing is done, and calls go on counting.
#[test]
fn a_step_that_is_undone_begins_anew() {
    let started = crate::journal::Started {
        format: crate::journal::FORMAT,
        version: String::new(),
        run: String::new(),
        nonce: String::new(),
        file: String::new(),
        workflow: String::new(),
        program: Default::default(),
        inputs: Default::default(),
        secrets: Vec::new(),
        environment: String::new(),
        world: crate::journal::World::Sim { scenario: None },
        catalog: Default::default(),
        principal: None,
        by: String::new(),
        host: String::new(),
        pid: 1,
    };
    let back = Event::RollingBack {
        to: None,
        by: "me".into(),
        host: "here".into(),
        pid: 1,
    };
    let undone = Event::Undone {
        addresses: vec!["a".into(), "g".into()],
    };
    let mut state = State::default();
    let mut seq = 0;
    let mut apply = |state: &mut State, event: Event| {
        seq += 1;
        state.apply(seq, Timestamp(0), &event)
    };
    let grew = Event::Grew {
        address: "g".into(),
        to: crate::journal::GrewTo::Taken(true),
    };
    for event in [
        Event::Started(Box::new(started)),
        grew,
        intent("a", 1),
        called("a", 1, ok(None)),
        done("a", Verdict::Created, serde_json::Value::Null),
    ] {
        apply(&mut state, event).expect("legal");
    }
    assert!(
        apply(&mut state, undone.clone()).is_err(),
        "without a rollback"
    );
    apply(&mut state, back).expect("legal");
    assert!(state.is_rolling_back() && !state.is_rolled_back());
    apply(&mut state, undone).expect("legal");
    assert!(state.is_rolled_back() && !state.is_rolling_back());
    let step = &state.steps["a"];
    assert!(step.finished.is_none() && step.open_call().is_none());
    assert_eq!(step.calls.last().map(|c| c.intent().call), Some(1));
    assert!(state.grown.is_empty());
    let ended = Event::Ended(Box::new(crate::journal::Ended {
        status: RunStatus::RolledBack,
        outputs: Default::default(),
        secret_outputs: Vec::new(),
        why: None,
    }));
    apply(&mut state, ended).expect("legal");
    // Begun anew, it is done anew.
    apply(&mut state, intent("a", 2)).expect("legal");
    apply(&mut state, called("a", 2, ok(None))).expect("legal");
}

fn edited(steps: &[(&str, Option<&str>)]) -> Event {
    let steps = steps
        .iter()
        .map(|(from, to)| crate::journal::CarriedOver {
            from: (*from).into(),
            to: to.map(Address::from),
            verdict: crate::journal::EditVerdict::Keep,
            again: None,
            meant: None,
        })
        .collect();
    Event::Edited(Box::new(Edited {
        by: "me".into(),
        source: Some(crate::journal::Source {
            program: Default::default(),
            inputs: Default::default(),
            secrets: Vec::new(),
            catalog: Default::default(),
        }),
        steps,
    }))
}

/// `a` becomes `b`, and another step is called `a` from then on.
#[test]
fn calls_follow_their_steps_through_an_edit() {
    let mut again = intent("a", 1);
    if let Event::Intent { intent, .. } = &mut again {
        intent.generation = 2;
    }
    let events = [
        told("a", 1),
        intent("a", 1),
        edited(&[("a", Some("b"))]),
        again,
        called("b", 1, ok(Some("7"))),
        called("a", 1, ok(Some("8"))),
    ];
    let calls = ledger(&events).calls_since(0);
    let took = |which: &str| Became::Took {
        origin: Origin::Created,
        incarnation: Some(which.into()),
    };
    assert_eq!(
        (&calls[0].became, &calls[1].became),
        (&took("7"), &took("8"))
    );
    assert_eq!(calls[0].now.as_deref(), Some("b"));
    // What was told before the edit is not of the new call.
    assert!(calls[0].undo.is_some() && calls[1].undo.is_none());
    assert_ne!(calls[0].undo_address(), calls[1].undo_address());
    assert_ne!(calls[0].beginning(), calls[1].beginning());
}

#[test]
fn a_name_is_no_incarnation() {
    let of = |json| incarnation(&json);
    assert_eq!(of(json!({ "id": "4711" })).as_deref(), Some("4711"));
    assert_eq!(of(json!({ "id": 12 })).as_deref(), Some("12"));
    let bucket = json!({ "id": "my-bucket", "timeCreated": "2026-01-01T00:00:00Z" });
    assert_eq!(of(bucket).as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(of(json!({ "id": "projects/p/topics/t" })), None);
}
