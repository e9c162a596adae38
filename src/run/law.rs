//! The table of legal transitions, applied to what this process is about to record.

use serde_json::Value as Json;

use crate::journal::{CallResult, Event, GrewTo, Intent, Outcome, State};
use crate::store::StoreError;
use crate::wire::Request;
use crate::world::Timestamp;

/// The same fold that recovery uses. Of what events carry it keeps nothing that the table does not
/// look at, so that a long run does not hold its results twice.
pub struct Law(State);

impl Law {
    /// As of what the journal holds.
    pub fn new(past: State) -> Law {
        Law(past)
    }

    /// # Errors
    /// The event cannot follow the ones before it: a bug of this program, and nothing to record.
    pub fn admit(&mut self, seq: u64, at: Timestamp, event: &Event) -> Result<(), StoreError> {
        let applied = self.0.apply(seq, at, &bare(event));
        applied.map_err(|illegal| StoreError::Illegal {
            what: illegal.to_string(),
        })
    }
}

/// The event without its load.
fn bare(event: &Event) -> Event {
    match event {
        Event::Intent { address, intent } => Event::Intent {
            address: address.clone(),
            intent: Box::new(Intent {
                call: intent.call,
                generation: intent.generation,
                request: nothing(&intent.request),
                request_id: None,
                before: Json::Null,
                server_time: None,
            }),
        },
        Event::Operation {
            address,
            call,
            poll,
            ..
        } => Event::Operation {
            address: address.clone(),
            call: *call,
            name: String::new(),
            poll: Box::new(nothing(poll)),
        },
        Event::Called {
            address,
            call,
            result: CallResult::Ok { origin, .. },
        } => Event::Called {
            address: address.clone(),
            call: *call,
            result: CallResult::Ok {
                origin: *origin,
                answer: Json::Null,
                incarnation: None,
            },
        },
        Event::Hooked { key, .. } => Event::Hooked {
            key: key.clone(),
            value: Json::Null,
        },
        Event::Grew {
            address,
            to: GrewTo::Keys(_) | GrewTo::Entries(_),
        } => Event::Grew {
            address: address.clone(),
            to: GrewTo::Keys(Vec::new()),
        },
        Event::Finished {
            address,
            began,
            outcome: Outcome::Done { verdict, .. },
        } => Event::Finished {
            address: address.clone(),
            began: *began,
            outcome: Outcome::Done {
                verdict: *verdict,
                value: Json::Null,
            },
        },
        light => light.clone(),
    }
}

fn nothing(request: &Request) -> Request {
    Request {
        method: request.method.clone(),
        verb: request.verb,
        path: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Verdict;

    fn done(value: Json) -> Event {
        Event::Finished {
            address: "a".into(),
            began: Timestamp(1),
            outcome: Outcome::Done {
                verdict: Verdict::Computed,
                value,
            },
        }
    }

    #[test]
    fn what_recovery_would_refuse_is_refused_before_it_is_recorded() {
        let mut law = Law::new(State::default());
        let early = law.admit(1, Timestamp(1), &done(Json::Null));
        let why = "entry 1: a run begins with its `started` event".to_owned();
        assert_eq!(early, Err(StoreError::Illegal { what: why }));
    }

    #[test]
    fn a_finished_step_is_finished_whatever_its_value_was() {
        let started = serde_json::from_value(serde_json::json!({
            "format": 1, "version": "1", "run": "r", "nonce": "n", "file": "f", "workflow": "w",
            "program": {}, "inputs": {}, "environment": "e", "world": { "kind": "sim" },
            "catalog": {}, "by": "b", "host": "h", "pid": 1
        }));
        let past = State {
            started: Some(started.expect("a beginning")),
            ..State::default()
        };
        let mut law = Law::new(past);
        law.admit(2, Timestamp(1), &done(Json::from("a value")))
            .expect("legal");
        let again = law.admit(3, Timestamp(1), &done(Json::Null));
        let why = "entry 3: a: the step is finished already".to_owned();
        assert_eq!(again, Err(StoreError::Illegal { what: why }));
    }
}
