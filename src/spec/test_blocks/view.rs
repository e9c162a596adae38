//! A run and the cloud, as values of the language.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::actor::event_name;
use super::super::player::{Line, Played, Trouble};
use super::super::stage::Deed;
use crate::catalog::Catalog;
use crate::check::test_blocks::REFUSED;
use crate::diag::Diagnostic;
use crate::journal::{Event, Outcome, StepFailure};
use crate::sim::Sim;
use crate::value::{Fields, Value};
use crate::world::{Millis, Timestamp};

/// What `run … as r` gives: the run that began at `began`, when there were `deeds` requests.
pub(super) fn of_run(
    played: &Played,
    began: Timestamp,
    deeds: usize,
    found: &[Diagnostic],
) -> Value {
    let (status, failures, outputs) = match &played.end {
        Ok(end) => {
            let failures = end.failures.iter().map(|(step, f)| failure(step, f));
            let outputs = end.outputs.iter();
            (
                end.status.as_str(),
                failures.collect(),
                outputs
                    .map(|(name, value)| (Arc::from(name.as_str()), value.clone()))
                    .collect(),
            )
        }
        Err(trouble) => (REFUSED, vec![unbegun(trouble)], Fields::new()),
    };
    let sent = played.left.stage.deeds().iter().skip(deeds);
    let calls: Vec<Value> = sent.filter(|d| d.ours).map(|d| call(d, began)).collect();
    let journal = &played.left.journal;
    Value::record([
        ("status", Value::str(status)),
        ("outputs", Value::map(outputs)),
        ("elapsed", since(played.left.now, began)),
        ("error", failures.first().cloned().unwrap_or(Value::Null)),
        ("failures", Value::list(failures)),
        ("calls", Value::list(calls)),
        ("steps", steps(journal, began)),
        (
            "events",
            Value::list(journal.iter().map(|l| event(l, began)).collect()),
        ),
        ("findings", findings(found)),
    ])
}

/// A run that an error of a policy stopped before it began.
pub(super) fn of_refused(why: &str, found: &[Diagnostic]) -> Value {
    let failure = told("", "policy", why);
    let none = || Value::list(Vec::new());
    Value::record([
        ("status", Value::str(REFUSED)),
        ("outputs", Value::record([])),
        ("elapsed", Value::Duration(Millis(0))),
        ("error", failure.clone()),
        ("failures", Value::list(vec![failure])),
        ("calls", none()),
        ("steps", Value::record([])),
        ("events", none()),
        ("findings", findings(found)),
    ])
}

fn findings(found: &[Diagnostic]) -> Value {
    let finding = |d: &Diagnostic| {
        Value::record([
            ("code", Value::str(d.code.to_string())),
            (
                "policy",
                Value::str(d.policy.as_deref().unwrap_or_default()),
            ),
            ("severity", Value::str(d.severity.as_str())),
            ("message", Value::str(&d.message)),
        ])
    };
    Value::list(found.iter().map(finding).collect())
}

fn since(at: Timestamp, began: Timestamp) -> Value {
    Value::Duration(at.since(began))
}

fn failure(step: &str, failure: &StepFailure) -> Value {
    told(step, failure.reason.as_str(), &failure.message)
}

fn unbegun(trouble: &Trouble) -> Value {
    told("", "flow", &trouble.to_string())
}

fn told(step: &str, class: &str, message: &str) -> Value {
    Value::record([
        ("step", Value::str(step)),
        ("class", Value::str(class)),
        ("message", Value::str(message)),
    ])
}

fn call(deed: &Deed, began: Timestamp) -> Value {
    Value::record([
        ("method", Value::str(&*deed.method)),
        ("target", Value::str(&deed.path)),
        (
            "body",
            deed.sent.as_ref().map_or(Value::Null, Value::from_json),
        ),
        ("status", Value::Int(i64::from(deed.status))),
        ("took_effect", Value::Bool(deed.effective)),
        ("at", since(deed.at, began)),
    ])
}

fn steps(journal: &[Arc<Line>], began: Timestamp) -> Value {
    let mut steps = Fields::new();
    for line in journal {
        let Event::Finished {
            address, outcome, ..
        } = &line.event
        else {
            continue;
        };
        let verdict = match outcome {
            Outcome::Done { verdict, .. } => verdict.as_str(),
            Outcome::Skipped => "skipped",
            Outcome::Failed { .. } => "failed",
        };
        let step = Value::record([
            ("verdict", Value::str(verdict)),
            ("at", since(line.at, began)),
        ]);
        steps.insert(Arc::from(&**address), step);
    }
    Value::map(steps)
}

fn event(line: &Line, began: Timestamp) -> Value {
    let address = line.event.address();
    Value::record([
        ("event", Value::str(event_name(&line.event))),
        ("step", address.map_or(Value::Null, |a| Value::str(&**a))),
        ("at", since(line.at, began)),
    ])
}

/// What `cloud` stands for: services, their collections, and what they hold by key.
pub(super) fn of_cloud(catalog: &Catalog, cloud: &Sim) -> Value {
    let mut all: BTreeMap<&str, BTreeMap<&str, Fields>> = BTreeMap::new();
    let known: Vec<Arc<str>> = catalog
        .services()
        .flat_map(|s| catalog.collections(&s.name))
        .collect();
    for service in catalog.services() {
        let collections = all.entry(&service.name).or_default();
        for path in known.iter().filter(|p| belongs(p, &service.name)) {
            let name = path.split_once('.').map_or(&**path, |(_, name)| name);
            collections.insert(name, Fields::new());
        }
    }
    let held: Vec<_> = cloud.holdings().collect();
    let projects: BTreeSet<&str> = held.iter().filter_map(|(_, key, _)| project(key)).collect();
    for (collection, key, body) in &held {
        let Some((service, path)) = collection.split_once('.') else {
            continue;
        };
        let name = match project(key).filter(|_| projects.len() > 1) {
            Some(project) => format!("{project}/{}", short(key)),
            None => short(key),
        };
        let place = all.entry(service).or_default().entry(path).or_default();
        place.insert(Arc::from(name), Value::from_json(body));
    }
    let services = all.into_iter().map(|(service, collections)| {
        let collections = collections
            .into_iter()
            .map(|(path, fields)| (Arc::from(path), Value::map(fields)));
        (Arc::from(service), Value::map(collections.collect()))
    });
    Value::map(services.collect())
}

fn belongs(collection: &str, service: &str) -> bool {
    collection.split('.').next() == Some(service)
}

/// `demo` of `compute/projects/demo/zones/us-central1-a/instances/sm`.
fn project(key: &str) -> Option<&str> {
    let mut parts = key.split('/').skip(1);
    let below = parts.next() == Some("projects");
    parts.next().filter(|_| below)
}

/// `us-central1-a/sm` of that: places and names, without the words between them.
fn short(key: &str) -> String {
    let below: Vec<&str> = key.split('/').skip(1).collect();
    let own = match below[..] {
        ["projects", _, ref rest @ ..] if !rest.is_empty() => rest,
        _ => &below[..],
    };
    let own = match own {
        ["global", rest @ ..] if rest.len() > 1 => rest,
        own => own,
    };
    let last = own.len().saturating_sub(1);
    let names = own
        .iter()
        .enumerate()
        .filter(|(n, _)| n % 2 == 1 || *n == last);
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_places_and_names() {
        let keys = [
            ("compute/projects/demo/zones/z-a/instances/sm", "z-a/sm"),
            ("compute/projects/demo/global/images/sm", "sm"),
            ("sqladmin/projects/demo/instances/red5", "red5"),
            (
                "sqladmin/projects/demo/instances/red5/databases/d",
                "red5/d",
            ),
            ("dns/projects/demo/managedZones/z/rrsets/a./A", "z/a./A"),
            ("cloudresourcemanager/projects/demo", "demo"),
        ];
        for (key, wanted) in keys {
            assert_eq!(short(key), wanted, "{key}");
        }
        assert_eq!(
            project("compute/projects/demo/global/images/sm"),
            Some("demo")
        );
        assert_eq!(project("storage/b/x"), None);
    }
}
