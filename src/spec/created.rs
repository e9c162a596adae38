//! Who created something: what an answer proves of it, and what a call may be recorded as.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::promises::Mark;
use super::stage::changes;
use crate::catalog::Catalog;
use crate::catalog::rules::sql_operations::sql_types;
use crate::journal::{CallResult, Event, Intent, Origin};
use crate::run::{marked_run, reads_target};
use crate::wire::{Answer, Request, Verb};

/// An operation, as a list of operations shows it.
#[derive(Clone, Debug)]
pub struct Operation {
    name: String,
    /// The id of the request that it belongs to.
    id: Option<String>,
    user: Option<String>,
    kind: Option<String>,
}

/// What an answer shows.
pub(super) fn shown(catalog: &Catalog, request: &Arc<Request>, answer: &Answer) -> Vec<Mark> {
    if changes(catalog, request) {
        // A repetition under an id that the API knows is refused with 409: so it has the first one.
        let knows = answer.status == 409 && id_of(request).is_some();
        let taken = (200..400).contains(&answer.status) || knows;
        return taken
            .then(|| Mark::Taken(Arc::clone(request)))
            .into_iter()
            .collect();
    }
    let Ok(json) = serde_json::from_slice::<Json>(&answer.body) else {
        return Vec::new();
    };
    if request.method.contains("perations.") {
        let one = [json.clone()];
        let items = json.get("items").and_then(Json::as_array);
        let all = items.map_or(&one[..], Vec::as_slice);
        return all
            .iter()
            .filter_map(operation)
            .map(Mark::Operation)
            .collect();
    }
    let run = (request.verb == Verb::Get)
        .then(|| marked_run(&json))
        .flatten();
    run.map(|run| Mark::Shown(request.path.clone(), run.to_owned()))
        .into_iter()
        .collect()
}

fn operation(json: &Json) -> Option<Operation> {
    let text = |field: &str| json.get(field).and_then(Json::as_str).map(str::to_owned);
    Some(Operation {
        name: text("name")?,
        id: text("clientOperationId"),
        user: text("user"),
        kind: text("operationType"),
    })
}

/// The id by which the API tells a repetition of a request.
pub(super) fn id_of(request: &Request) -> Option<String> {
    let mut query = request.query.iter();
    let id = query.find(|(name, _)| name == "requestId" || name == "clientOperationId");
    id.map(|(_, id)| id.clone())
}

/// What was seen so far that proves something.
#[derive(Default)]
pub(super) struct Seen {
    /// The run's own id.
    pub run: Option<String>,
    taken: Vec<Arc<Request>>,
    operations: BTreeMap<String, Operation>,
    /// Steps whose operation was recorded, and its name; an earlier process had the proof.
    followed: BTreeMap<Arc<str>, String>,
    inherited: BTreeSet<Arc<str>>,
    /// Paths at which something with the run's own mark was seen.
    own: BTreeSet<String>,
}

impl Seen {
    /// An event of the journal that the process found.
    pub fn inherit(&mut self, event: &Event) {
        match event {
            Event::Operation { address, .. } => {
                self.inherited.insert(Arc::clone(address));
            }
            Event::Intent { address, .. } => {
                self.inherited.remove(address);
            }
            _ => {}
        }
    }

    pub fn take(&mut self, mark: &Mark) {
        match mark {
            Mark::Taken(request) => self.taken.push(Arc::clone(request)),
            Mark::Operation(operation) => {
                let name = operation.name.clone();
                self.operations.insert(name, operation.clone());
            }
            Mark::Shown(path, run) if self.run.as_ref() == Some(run) => {
                self.own.insert(path.clone());
            }
            Mark::Durable(Event::Operation { address, name, .. }) => {
                self.followed.insert(Arc::clone(address), name.clone());
            }
            Mark::Durable(Event::Intent { address, .. }) => {
                self.followed.remove(address);
                self.inherited.remove(address);
            }
            _ => {}
        }
    }

    /// What only was found after a lost answer must not be recorded as made. `open`: the calls under
    /// way.
    pub fn proves(
        &self,
        catalog: &Catalog,
        open: &BTreeMap<Arc<str>, Intent>,
        event: &Event,
    ) -> Result<(), String> {
        let Event::Called {
            address,
            result:
                CallResult::Ok {
                    origin: Origin::Created,
                    ..
                },
            ..
        } = event
        else {
            return Ok(());
        };
        let proved = self.inherited.contains(address)
            || open
                .get(address)
                .is_some_and(|intent| self.is_made(catalog, address, intent));
        match proved {
            true => Ok(()),
            false => Err(format!(
                "{address} is recorded as created, and nothing was seen that proves it"
            )),
        }
    }

    /// By the call's own answer, by its own operation, or by the run's mark on what it made.
    fn is_made(&self, catalog: &Catalog, address: &Arc<str>, intent: &Intent) -> bool {
        let request = &intent.request;
        let answered = || self.taken.iter().any(|taken| **taken == *request);
        let marked = || {
            let reads = reads_target(catalog, request);
            reads.is_some_and(|get| self.own.contains(&get.path))
        };
        let operated = || match self.followed.get(address) {
            Some(name) => self.operations.get(name).is_some_and(|op| op.is_of(intent)),
            None => self.operations.values().any(|op| op.is_of(intent)),
        };
        answered() || marked() || operated()
    }
}

impl Operation {
    /// Whether it is that of a call: by the id of its request, or where there is none by the account,
    /// the kind, and since it was not there before.
    fn is_of(&self, intent: &Intent) -> bool {
        if let Some(id) = &intent.request_id {
            return self.id.as_ref() == Some(id);
        }
        let before = |field: &str| intent.before.get(field).and_then(Json::as_str);
        let types = sql_types(&intent.request.method);
        let fits = |kind: &String| types.is_none_or(|t| t.names.contains(&kind.as_str()));
        before("user").is_some_and(|user| self.user.as_deref() == Some(user))
            && before("newestOperation") != Some(&self.name)
            && self.kind.as_ref().is_none_or(fits)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RUN: &str = "00000000-0000-7000-8000-000000000001";

    fn request(name: &str) -> Request {
        Request {
            method: "compute.healthChecks.insert".into(),
            verb: Verb::Post,
            path: "compute/v1/projects/demo/global/healthChecks".into(),
            query: vec![("requestId".into(), format!("id-of-{name}"))],
            headers: Vec::new(),
            body: Some(json!({ "name": name })),
        }
    }

    fn intent(name: &str) -> Intent {
        Intent {
            call: 1,
            generation: 1,
            request: request(name),
            request_id: Some(format!("id-of-{name}")),
            before: Json::Null,
            server_time: None,
        }
    }

    fn listed(client_id: &str) -> Mark {
        let list = Request {
            method: "compute.globalOperations.list".into(),
            verb: Verb::Get,
            path: "compute/v1/projects/demo/global/operations".into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        };
        let answer = Answer {
            status: 200,
            headers: Vec::new(),
            body: json!({ "items": [{ "name": "operation-1", "clientOperationId": client_id }] })
                .to_string()
                .into_bytes(),
        };
        let marks = shown(&Catalog::embedded(), &Arc::new(list), &answer);
        marks.into_iter().next().expect("an operation")
    }

    /// Whether a trace proves that the call for `mine` created something.
    fn proved(marks: &[Mark]) -> bool {
        let address: Arc<str> = "mine".into();
        let mut seen = Seen {
            run: Some(RUN.into()),
            ..Seen::default()
        };
        marks.iter().for_each(|mark| seen.take(mark));
        let open = [(Arc::clone(&address), intent("mine"))].into();
        let called = Event::Called {
            address,
            call: 1,
            result: CallResult::Ok {
                origin: Origin::Created,
                answer: Json::Null,
                incarnation: None,
            },
        };
        seen.proves(&Catalog::embedded(), &open, &called).is_ok()
    }

    #[test]
    fn the_proof_is_that_of_the_call_itself() {
        let taken = |name: &str| Mark::Taken(Arc::new(request(name)));
        let path = |name: &str| format!("compute/v1/projects/demo/global/healthChecks/{name}");
        assert!(!proved(&[]));
        assert!(!proved(&[Mark::Sent(Arc::new(request("mine")))]));
        assert!(proved(&[taken("mine")]));
        assert!(!proved(&[taken("other")]));
        assert!(proved(&[listed("id-of-mine")]));
        assert!(!proved(&[listed("id-of-other")]));
        assert!(proved(&[Mark::Shown(path("mine"), RUN.into())]));
        assert!(!proved(&[Mark::Shown(path("other"), RUN.into())]));
        assert!(!proved(&[Mark::Shown(path("mine"), "another".into())]));
    }
}
