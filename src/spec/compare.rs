//! Two runs held against each other: outputs, cloud, and what took effect how often.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value as Json;

use super::player::{Played, Trouble};
use super::stage::{Deed, NUMBER, Stage};
use crate::journal::RunStatus;
use crate::run::End;
use crate::wire::Request;
use crate::world::Timestamp;

/// Values that no two runs share, and what they are called instead.
#[derive(Clone, Debug, Default)]
pub struct Names {
    whole: BTreeMap<String, String>,
    /// Names that Google draws, also inside of paths: machines of managed groups.
    parts: Vec<(String, String)>,
}

/// Method, target and body of a change.
type Change = (Arc<str>, String, String);

/// What the run that nobody disturbed did.
#[derive(Clone, Debug)]
pub struct Reference {
    pub end: End,
    outputs: Json,
    changes: BTreeMap<Change, usize>,
    contents: BTreeMap<String, Json>,
    deeds: Vec<Arc<Deed>>,
    pub requests: usize,
    pub effects: usize,
}

/// How a run is not what it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub what: String,
    /// The changes of the run that nobody disturbed, and of this one.
    pub wanted: Vec<String>,
    pub found: Vec<String>,
}

impl Difference {
    pub fn new(what: impl Into<String>) -> Self {
        Difference {
            what: what.into(),
            wanted: Vec::new(),
            found: Vec::new(),
        }
    }
}

impl Reference {
    /// # Errors
    /// The undisturbed run does not end well, so that nothing can be held against it.
    pub fn of(played: &Played) -> Result<Reference, String> {
        let end = match &played.end {
            Ok(end) if end.status == RunStatus::Done => end.clone(),
            Ok(end) => return Err(unwell(end)),
            Err(trouble) => return Err(trouble.to_string()),
        };
        let names = names(&played.left.stage);
        Ok(Reference {
            outputs: outputs(&end, &names),
            changes: effective(&played.left.stage),
            contents: contents(&played.left.stage),
            deeds: played.left.stage.deeds().to_vec(),
            requests: played.requests,
            effects: played.effects,
            end,
        })
    }

    /// Whether a run ended as this one; `repeated` may have been made once more.
    ///
    /// # Errors
    /// How it did not.
    pub fn compare(&self, played: &Played, repeated: &[Request]) -> Result<(), Box<Difference>> {
        let wrong = |what: String| self.difference(played, what);
        let end = match &played.end {
            Ok(end) => end,
            Err(trouble) => return Err(wrong(trouble.to_string())),
        };
        if end.status != RunStatus::Done {
            return Err(wrong(unwell(end)));
        }
        let stage = &played.left.stage;
        let found = outputs(end, &names(stage));
        if found != self.outputs {
            let what = format!("the outputs are {found}, undisturbed {}", self.outputs);
            return Err(wrong(what));
        }
        if let Some(what) = uneven(&self.changes, &effective(stage), repeated) {
            return Err(wrong(what));
        }
        match unlike(&self.contents, &contents(stage)) {
            Some(what) => Err(wrong(what)),
            None => Ok(()),
        }
    }

    /// Whether nothing took effect more often than in this run; `spared` says of which targets it
    /// may. What was made there may be taken back by its number, also where this run came to remove it itself.
    ///
    /// # Errors
    /// What took effect too often.
    pub fn nothing_twice(
        &self,
        played: &Played,
        spared: impl Fn(&str) -> bool,
    ) -> Result<(), Box<Difference>> {
        let found = effective(&played.left.stage);
        for (change, count) in &found {
            let wanted = self.changes.get(change).copied().unwrap_or(0);
            if *count > wanted && !takes_back(&found, change) && !spared(&change.1) {
                let what = format!(
                    "{} {} took effect {count} times, undisturbed {wanted}",
                    change.0, change.1
                );
                return Err(self.difference(played, what));
            }
        }
        Ok(())
    }

    /// Whether nothing took effect more often than in this run, but for these requests.
    ///
    /// # Errors
    /// What took effect too often.
    pub fn but_for(&self, played: &Played, spared: &[Request]) -> Result<(), Box<Difference>> {
        self.nothing_twice(played, |path| spared.iter().any(|r| r.path == path))
    }

    /// The same where `again` may have been made twice: what follows from its second answer is about
    /// something else than in this run, but is not done more often.
    ///
    /// # Errors
    /// What took effect too often.
    pub fn but_for_what_follows(
        &self,
        played: &Played,
        again: &[Request],
    ) -> Result<(), Box<Difference>> {
        let methods = |changes: &BTreeMap<Change, usize>| {
            let mut count: BTreeMap<Arc<str>, usize> = BTreeMap::new();
            let others = changes.iter();
            for (change, n) in others.filter(|(c, _)| again.iter().all(|r| r.path != c.1)) {
                *count.entry(Arc::clone(&change.0)).or_insert(0) += n;
            }
            count
        };
        let wanted = methods(&self.changes);
        for (method, found) in methods(&effective(&played.left.stage)) {
            let wanted = wanted.get(&method).copied().unwrap_or(0);
            if found > wanted {
                let what = format!("{method} took effect {found} times, undisturbed {wanted}");
                return Err(self.difference(played, what));
            }
        }
        Ok(())
    }

    /// A difference with the changes of both sides.
    pub fn difference(&self, played: &Played, what: impl Into<String>) -> Box<Difference> {
        let lines = |deeds: &[Arc<Deed>]| deeds.iter().map(|d| line(d)).collect();
        Box::new(Difference {
            what: what.into(),
            wanted: lines(&self.deeds),
            found: lines(played.left.stage.deeds()),
        })
    }
}

/// How a run ended that did not end well.
pub fn unwell(end: &End) -> String {
    let mut text = format!("it ended: {}", end.status.as_str());
    if let Some((address, failure)) = end.failures.first() {
        text.push_str(&format!(", {address}: {}", failure.message));
    } else if let Some(why) = &end.why {
        text.push_str(&format!(", {why}"));
    }
    text
}

impl From<&Trouble> for Difference {
    fn from(trouble: &Trouble) -> Self {
        Difference::new(trouble.to_string())
    }
}

fn line(deed: &Deed) -> String {
    let who = if deed.ours { "" } else { " (somebody else)" };
    let effect = match (deed.effective, deed.status) {
        (true, _) => "took effect",
        (false, 200..=299) => "repetition",
        (false, _) => "refused",
    };
    format!(
        "{} {} {} {}: {} {effect}{who}",
        deed.at.rfc3339(),
        deed.method,
        deed.target,
        deed.body.chars().take(120).collect::<String>(),
        deed.status
    )
}

/// How often each change of the run's own took effect.
fn effective(stage: &Stage) -> BTreeMap<Change, usize> {
    let mut count = BTreeMap::new();
    for deed in stage.deeds().iter().filter(|d| d.effective && d.ours) {
        let key = (
            Arc::clone(&deed.method),
            deed.target.clone(),
            deed.body.clone(),
        );
        *count.entry(key).or_insert(0) += 1;
    }
    count
}

/// Whether a change deletes by its number what these changes made: it is gone after the first time, and where the
/// cloud took another one, its operation failed.
fn takes_back(changes: &BTreeMap<Change, usize>, change: &Change) -> bool {
    let collection = change.1.strip_suffix(NUMBER);
    let mut made = changes.keys().filter(|(_, target, body)| {
        let path = target.split('?').next().unwrap_or(target);
        Some(path) == collection && !body.is_empty()
    });
    change.2.is_empty() && made.next().is_some()
}

/// What took effect more or less often than wanted; `repeated` may have done so more often.
fn uneven(
    wanted: &BTreeMap<Change, usize>,
    found: &BTreeMap<Change, usize>,
    repeated: &[Request],
) -> Option<String> {
    let times = |all: &BTreeMap<Change, usize>, key| all.get(key).copied().unwrap_or(0);
    let differing = wanted.keys().chain(found.keys()).find(|key| {
        let (wanted, found) = (times(wanted, key), times(found, key));
        let more = wanted > 0 && found > wanted;
        wanted != found && !(more && repeated.iter().any(|r| r.path == key.1))
    });
    let key = differing?;
    let (wanted, found) = (times(wanted, key), times(found, key));
    let (method, target, body) = key;
    Some(format!(
        "{method} {target} {body} took effect {found} times, undisturbed {wanted}"
    ))
}

fn unlike(wanted: &BTreeMap<String, Json>, found: &BTreeMap<String, Json>) -> Option<String> {
    for (key, json) in wanted {
        match found.get(key) {
            Some(there) if there == json => {}
            Some(there) => {
                let (path, a, b) = first_unlike("", json, there);
                return Some(format!("{key}: `{path}` is {b}, undisturbed {a}"));
            }
            None => return Some(format!("{key} is missing")),
        }
    }
    found
        .keys()
        .find(|key| !wanted.contains_key(*key))
        .map(|key| format!("{key} is there and should not be"))
}

/// Where two documents first differ.
pub(super) fn first_unlike(path: &str, a: &Json, b: &Json) -> (String, String, String) {
    let deeper = match (a, b) {
        (Json::Object(x), Json::Object(y)) => x
            .keys()
            .chain(y.keys())
            .find(|k| x.get(*k) != y.get(*k))
            .map(|k| {
                let none = Json::Null;
                let inner = format!("{path}.{k}");
                let (x, y) = (x.get(k).unwrap_or(&none), y.get(k).unwrap_or(&none));
                first_unlike(inner.trim_start_matches('.'), x, y)
            }),
        (Json::Array(x), Json::Array(y)) if x.len() == y.len() => x
            .iter()
            .zip(y)
            .position(|(x, y)| x != y)
            .map(|i| first_unlike(&format!("{path}[{i}]"), &x[i], &y[i])),
        _ => None,
    };
    deeper.unwrap_or_else(|| (path.to_owned(), a.to_string(), b.to_string()))
}

/// Everything that is there, in the cloud and on web servers, without what no two runs share.
pub fn contents(stage: &Stage) -> BTreeMap<String, Json> {
    let names = names(stage);
    let cloud = stage.cloud.resources().into_iter();
    cloud
        .chain(stage.sites())
        .map(|(key, json)| {
            let (new, body) = (renamed(&key, &names), plain(json, &names));
            match zone_of_machine(&key, &names) {
                Some(zone) => (new.replace(zone, "(zone)"), without(zone, body)),
                None => (new, body),
            }
        })
        .collect()
}

/// The zone of a machine of a managed group, or of its disk: which one that is, is Google's to choose.
fn zone_of_machine<'k>(key: &'k str, names: &Names) -> Option<&'k str> {
    let (_, rest) = key.split_once("/zones/")?;
    let (zone, rest) = rest.split_once('/')?;
    let (_, name) = rest.split_once('/')?;
    let drawn = names.parts.iter().any(|(old, _)| old == name);
    drawn.then_some(zone)
}

fn without(zone: &str, json: Json) -> Json {
    match json {
        Json::Object(fields) => {
            let fields = fields.into_iter();
            Json::Object(fields.map(|(k, v)| (k, without(zone, v))).collect())
        }
        Json::Array(items) => items.into_iter().map(|i| without(zone, i)).collect(),
        Json::String(text) => Json::String(text.replace(zone, "(zone)")),
        other => other,
    }
}

fn outputs(end: &End, names: &Names) -> Json {
    let all = end
        .outputs
        .iter()
        .map(|(name, value)| (name.clone(), reworded(value.to_json(), names)));
    Json::Object(all.collect())
}

/// Ids, addresses and fingerprints of everything that is there, by what they belong to.
fn names(stage: &Stage) -> Names {
    let resources = stage.cloud.resources();
    let mut names = Names {
        parts: machines(&resources),
        ..Names::default()
    };
    names.parts.extend(drawn_by_the_call(&resources));
    for (key, json) in &resources {
        let key = renamed(key, &names);
        collect(&key, json, &mut names);
    }
    names
}

/// The machines of managed groups, numbered: their names end in four letters that are drawn.
fn machines(resources: &serde_json::Map<String, Json>) -> Vec<(String, String)> {
    let bases: Vec<String> = resources
        .values()
        .filter_map(|json| Some(format!("{}-", json.get("baseInstanceName")?.as_str()?)))
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut parts = Vec::new();
    for key in resources.keys() {
        let Some((_, name)) = key.split_once("/instances/") else {
            continue;
        };
        let drawn =
            |base: &&String| name.len() == base.len() + 4 && name.starts_with(base.as_str());
        let Some(base) = bases.iter().find(drawn) else {
            continue;
        };
        let count = counts.entry(base).or_insert(0);
        *count += 1;
        parts.push((name.to_owned(), format!("{base}({count})")));
    }
    parts
}

/// What is called by the call that makes it, or by its moment: change sets of Cloud DNS, backups of Cloud SQL.
const DRAWN_BY_THE_CALL: [(&str, &str); 2] = [("/changes/", "change"), ("/backupRuns/", "backup")];

/// These numbered within their holder by time: a call that is made anew draws another name.
fn drawn_by_the_call(resources: &serde_json::Map<String, Json>) -> Vec<(String, String)> {
    let mut found: Vec<(&str, &str, &str, &str)> = resources
        .iter()
        .filter_map(|(key, json)| {
            let apart = |(part, word)| key.split_once(part).map(|(holder, id)| (holder, word, id));
            let (holder, word, id) = DRAWN_BY_THE_CALL.into_iter().find_map(apart)?;
            let at = json.get("startTime").and_then(Json::as_str).unwrap_or("");
            is_minted(id).then_some((holder, word, at, id))
        })
        .collect();
    found.sort_unstable();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    found
        .iter()
        .map(|(holder, word, _, id)| {
            let count = counts.entry((holder, word)).or_insert(0);
            *count += 1;
            ((*id).to_owned(), format!("({word} {count})"))
        })
        .collect()
}

fn collect(owner: &str, json: &Json, names: &mut Names) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Json::String(text) if passing(name) && is_minted(text) => {
                        names
                            .whole
                            .entry(text.clone())
                            .or_insert_with(|| format!("({name} of {owner})"));
                    }
                    other => collect(owner, other, names),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| collect(owner, item, names)),
        _ => {}
    }
}

/// Texts that nobody writes by hand: long numbers, addresses, fingerprints.
fn is_minted(text: &str) -> bool {
    text.len() >= 7 && text.bytes().any(|b| b.is_ascii_digit() || b == b'=')
}

/// A document without the fields that no two runs share, and with names for the values.
pub fn plain(json: Json, names: &Names) -> Json {
    match json {
        Json::Object(fields) => Json::Object(
            fields
                .into_iter()
                .filter(|(name, _)| !passing(name))
                .map(|(name, value)| (name, plain(value, names)))
                .collect(),
        ),
        Json::Array(items) => {
            Json::Array(items.into_iter().map(|item| plain(item, names)).collect())
        }
        Json::String(text) => Json::String(renamed(&text, names)),
        other => other,
    }
}

/// A document with names for the values that no two runs share.
fn reworded(json: Json, names: &Names) -> Json {
    match json {
        Json::Object(fields) => Json::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name, reworded(value, names)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(|i| reworded(i, names)).collect()),
        Json::String(text) => Json::String(renamed(&text, names)),
        other => other,
    }
}

fn renamed(text: &str, names: &Names) -> String {
    if let Some(name) = names.whole.get(text) {
        return name.clone();
    }
    let mut drawn = names.parts.iter();
    if let Some((old, new)) = drawn.find(|(old, _)| text.contains(old.as_str())) {
        return text.replace(old.as_str(), new);
    }
    if Timestamp::parse(text).is_some() {
        return "(a moment)".to_owned();
    }
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    if address.parse::<Ipv4Addr>().is_ok() {
        let name = names.whole.get(address).map_or("(an address)", |n| n);
        return match mask {
            Some(mask) => format!("{name}/{mask}"),
            None => name.to_owned(),
        };
    }
    text.to_owned()
}

/// Fields whose values no two runs share.
fn passing(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    matches!(
        name,
        "id" | "etag"
            | "uid"
            | "timeCreated"
            | "updated"
            | "generation"
            | "numericId"
            | "address"
            | "IPAddress"
            | "serverCaCert"
            | "serviceAccountEmailAddress"
    ) || lower.ends_with("fingerprint")
        || lower.ends_with("timestamp")
        || lower.ends_with("time")
        || lower.ends_with("id")
        || lower.contains("ipaddress")
        || lower.contains("natip")
        || lower.contains("networkip")
        || lower.contains("settingsversion")
}
