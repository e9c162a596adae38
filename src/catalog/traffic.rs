//! What requests get in each other's way over: serialisation domains, quota groups, containers.

use std::sync::Arc;

use super::address::Args;
use super::model::{Collection, Method, OperationStyle};
use super::rules::domains::{self, Source};
use super::rules::quotas;
use crate::value::Value;
use crate::wire::{Request, Verb};

/// What takes one change at a time. Domains are acquired in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain {
    /// Unique in a run: `sql instance p/main`.
    pub key: Arc<str>,
    /// For people: `sql instance`.
    pub noun: Arc<str>,
    /// For people: `main`.
    pub name: Arc<str>,
}

impl Domain {
    pub fn new(noun: &str, parts: &[String]) -> Self {
        Domain {
            key: format!("{noun} {}", parts.join("/")).into(),
            noun: noun.into(),
            name: parts.last().map_or("", String::as_str).into(),
        }
    }
}

/// Displays as ``sql instance `main` ``.
impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.noun, self.name)
    }
}

/// Where the parts of a change stand.
pub struct Parts<'a> {
    pub collection: Option<&'a Collection>,
    /// `None` when a resource is ensured.
    pub method: Option<&'a Method>,
    pub args: &'a Args,
}

impl Parts<'_> {
    fn path(&self) -> Option<&str> {
        match (self.method, self.collection) {
            (Some(method), _) => Some(&method.id),
            (None, collection) => collection.map(|c| &*c.path),
        }
    }

    /// Calls that start no operation disturb none.
    fn rows(&self) -> impl Iterator<Item = &'static domains::Row> + '_ {
        let works = self
            .method
            .is_none_or(|m| !m.reads && m.operation != OperationStyle::None);
        let path = self.path().filter(|_| works);
        domains::TABLE
            .iter()
            .filter(move |row| path.is_some_and(|p| row.of.iter().any(|of| domains::covers(of, p))))
    }

    /// Whether the body says which domains the change is in.
    pub fn need_body(&self) -> bool {
        self.rows().any(|row| {
            row.name.iter().any(|sources| {
                let known = sources
                    .iter()
                    .any(|s| matches!(s, Source::Arg(name) if self.args.contains_key(*name)));
                !known && sources.iter().any(|s| matches!(s, Source::Body(_)))
            })
        })
    }

    /// The domains of the catalogue that the change is in. What is not known yet names none.
    pub fn domains(&self, body: Option<&Value>) -> Vec<Domain> {
        let mut found: Vec<Domain> = self
            .rows()
            .filter_map(|row| {
                let parts: Option<Vec<String>> = row
                    .name
                    .iter()
                    .map(|sources| self.part(sources, body))
                    .collect();
                Some(Domain::new(row.noun, &parts?))
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn part(&self, sources: &[Source], body: Option<&Value>) -> Option<String> {
        sources.iter().find_map(|source| {
            let value = match source {
                Source::Arg(name) => self.args.get(*name)?,
                Source::Body(path) => path
                    .split('.')
                    .try_fold(body?, |v, name| v.as_map()?.get(name))?,
            };
            match value {
                Value::Str(text) => {
                    let name = text.rsplit('/').next().unwrap_or(text);
                    (!name.is_empty()).then(|| name.to_owned())
                }
                _ => None,
            }
        })
    }
}

/// One row of the table of domains, for the documentation.
pub struct DomainRow {
    pub noun: &'static str,
    pub of: &'static [&'static str],
    pub why: &'static str,
}

/// Every row of the table of domains.
pub fn domain_rows() -> impl Iterator<Item = DomainRow> {
    domains::TABLE.iter().map(|row| DomainRow {
        noun: row.noun,
        of: row.of,
        why: row.why,
    })
}

/// One row of the table of quota groups, for the documentation.
pub struct QuotaRow {
    pub service: &'static str,
    pub which: String,
    pub group: &'static str,
    pub regional: bool,
    pub why: &'static str,
}

/// Every row of the table of quota groups.
pub fn quota_rows() -> impl Iterator<Item = QuotaRow> {
    quotas::TABLE.iter().map(|row| QuotaRow {
        service: row.service,
        which: match row.which {
            quotas::Which::Ending(end) => format!("`…{end}`"),
            quotas::Which::Reads => "GET".into(),
            quotas::Which::Any => "the rest".into(),
        },
        group: row.group,
        regional: row.regional,
        why: row.why,
    })
}

/// The group of requests that share a limit per minute: `compute writes of p in us-central1`.
pub fn quota_group(method: &str, verb: Verb, path: &str) -> Option<String> {
    let service = method.split('.').next()?;
    let row = quotas::of(method, verb)?;
    let project = after(path, "projects").unwrap_or("-");
    let place = if row.regional {
        format!(" in {}", region(path))
    } else {
        String::new()
    };
    Some(format!("{service} {} of {project}{place}", row.group))
}

/// What bounds how many operations are in flight at a time: a project in a region, or `global`.
/// `CONCURRENT_OPERATIONS_QUOTA_EXCEEDED` names `containerType`, `containerId` and `location`.
pub fn container(request: &Request) -> Option<String> {
    let service = request.service()?;
    let project = after(&request.path, "projects").unwrap_or("-");
    Some(format!("{service} {project} {}", region(&request.path)))
}

/// The region of a path, zones and locations included; `global` for what has none.
pub fn region(path: &str) -> &str {
    let place = after(path, "regions")
        .or_else(|| after(path, "zones"))
        .or_else(|| after(path, "locations"))
        .unwrap_or("global");
    match place.rsplit_once('-') {
        Some((region, zone)) if zone.len() == 1 && region.contains('-') => region,
        _ => place,
    }
}

fn after<'p>(path: &'p str, segment: &str) -> Option<&'p str> {
    let mut parts = path.split('/');
    parts.find(|p| *p == segment)?;
    parts.next()
}
