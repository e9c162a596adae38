//! What a run leaves that died somewhere and was rolled back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::compare::{contents, first_unlike, unwell};
use super::meddle::resource_of;
use super::player::{Left, Played};
use super::process::past;
use crate::catalog::{Catalog, OperationStyle};
use crate::journal::{Event, RunStatus};
use crate::run::{Rollback, Stays, marked_run};
use crate::sim::below_version;
use crate::wire::Request;

/// Everything as it was before the run, but for what the undisturbed rollback does not put back.
pub(super) struct Before {
    contents: BTreeMap<String, Json>,
    lasting: BTreeSet<String>,
}

/// What became of what the run had made.
pub(super) enum Remains {
    Nothing,
    /// Only what nobody can prove to be the run's own: a person is told.
    Doubtful,
    /// That, and it stands in what was to be deleted, which was tried in vain.
    Blocked,
    /// Something that should be gone, or gone what should be there.
    Wrong(String),
}

impl Before {
    pub fn of(start: &Left, rolled: &Played) -> Before {
        let before = contents(&start.stage);
        let after = contents(&rolled.left.stage);
        let all = before.keys().chain(after.keys());
        let lasting = all.filter(|key| before.get(*key) != after.get(*key));
        Before {
            lasting: lasting.cloned().collect(),
            contents: before,
        }
    }

    /// `forgotten`: the cloud has forgotten its operations meanwhile.
    pub fn remains(&self, catalog: &Catalog, played: &Played, forgotten: bool) -> Remains {
        let found = contents(&played.left.stage);
        let all = self.contents.keys().chain(found.keys());
        let other = all
            .filter(|key| !self.lasting.contains(*key))
            .filter(|key| self.contents.get(*key) != found.get(*key));
        let said = Said::of(catalog, played, forgotten);
        let mut remains = match &played.end {
            Ok(end) if end.status == RunStatus::Done => Remains::Nothing,
            Ok(_) if !said.presumed.is_empty() => return Remains::Blocked,
            Ok(end) => return Remains::Wrong(unwell(end)),
            Err(trouble) => return Remains::Wrong(trouble.to_string()),
        };
        for key in other {
            if said.lasting.iter().any(|path| is_near(key, path)) {
                continue;
            }
            let presumed = said.presumed.iter().any(|path| is_near(key, path));
            if !presumed && !said.came_with_the_presumed(key, found.get(key)) {
                return Remains::Wrong(self.told(key, found.get(key)));
            }
            remains = Remains::Doubtful;
        }
        remains
    }

    fn told(&self, key: &str, found: Option<&Json>) -> String {
        match (self.contents.get(key), found) {
            (Some(before), Some(found)) => {
                let (path, before, found) = first_unlike("", before, found);
                format!("{key}: `{path}` is {found}, before the run {before}")
            }
            (Some(_), None) => format!("{key} is gone, and was there before the run"),
            (None, _) => format!("{key} is left, and was not there before the run"),
        }
    }
}

/// The resources of which a rollback says that they stay.
#[derive(Default)]
struct Said {
    lasting: Vec<String>,
    presumed: Vec<String>,
    /// What the run made or changed.
    touched: Vec<String>,
}

impl Said {
    fn of(catalog: &Catalog, played: &Played, forgotten: bool) -> Said {
        let journal = &played.left.journal;
        let undone = |event: &Event| matches!(event, Event::Undone { .. });
        let length = journal.iter().take_while(|l| !undone(&l.event)).count();
        let Ok((_, ledger)) = past(&journal[..length]) else {
            return Said::default();
        };
        let rollback = Rollback::of(&ledger, catalog, 0);
        let mut said = Said::default();
        for made in ledger.calls_since(0) {
            let path = resource_of(&made.intent.request);
            let presumed = rollback
                .staying
                .iter()
                .any(|s| s.address == made.address && s.stays == Stays::Presumed);
            if rollback.lasting.iter().any(|l| l.address == made.address) {
                said.lasting.push(path);
            } else if presumed && (forgotten || !can_be_proved(catalog, &made.intent.request)) {
                said.presumed.push(path);
            }
            said.touched.push(resource_of(&made.intent.request));
        }
        said
    }

    /// What the cloud made by itself for something that stays: the subnetworks of a network.
    fn came_with_the_presumed(&self, key: &str, found: Option<&Json>) -> bool {
        let own = self.touched.iter().any(|path| is_near(key, path));
        let owner = |path: &String| found.is_some_and(|json| names(json, &below_version(path)));
        !own && self.presumed.iter().any(owner)
    }
}

/// Whether a link anywhere in a document leads to this path.
fn names(json: &Json, path: &str) -> bool {
    match json {
        Json::Object(fields) => fields.values().any(|value| names(value, path)),
        Json::Array(items) => items.iter().any(|item| names(item, path)),
        Json::String(text) => text.ends_with(&format!("/{path}")),
        _ => false,
    }
}

/// Whether the API can tell who created something: by the operation, or by the mark of the run.
fn can_be_proved(catalog: &Catalog, request: &Request) -> bool {
    let lists =
        |style: &OperationStyle| matches!(style, OperationStyle::Compute(_) | OperationStyle::Sql);
    let method = catalog.method(&request.method);
    let marked = request
        .body
        .as_ref()
        .is_some_and(|body| marked_run(body).is_some());
    marked || method.is_some_and(|m| lists(&m.operation))
}

/// Whether a resource is the one at a path, or within it, or that which an action at the path is about.
fn is_near(key: &str, path: &str) -> bool {
    // The cloud's keys begin with a service, those of web servers are URLs.
    let (key, path) = match path.contains("://") {
        true => (key, path.to_owned()),
        false => (
            key.split_once('/').map_or(key, |(_, rest)| rest),
            below_version(path),
        ),
    };
    let path = path.as_str();
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
    };
    within(key, path) || within(path, key)
}
