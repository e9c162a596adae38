//! Lists and aggregated lists, in pages.

use serde_json::{Map, Value as Json, json};

use super::ask::Ask;
use super::filter::Filter;
use super::generic;
use super::identity;
use super::model::rules::Rule;
use super::refs;
use super::refusal::Refusal;
use super::world::World;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*"],
    says: "lists in the order of the names, in pages of at most 500",
    source: "API description of `maxResults` and `pageToken`",
    test: "lists_come_in_pages",
}];

/// Compute Engine's own largest page.
const LARGEST: usize = 500;

/// `list` of any collection.
///
/// # Errors
/// A holder that is not there, a filter or page token that cannot be read.
pub fn list(world: &World, ask: &Ask) -> Result<Json, Refusal> {
    let holder = identity::normal(&ask.key());
    if let Some(collection) = &ask.collection {
        generic::parent_exists(world, collection, &format!("{holder}/-"))?;
    }
    let prefix = format!("{holder}/");
    let family = ask.family();
    let tail = |key: &str| key[prefix.len()..].contains('/');
    let keys = world
        .resources
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .filter(|(key, r)| &*r.collection == family || !tail(key))
        .filter(|(key, _)| !world.is_hidden(key))
        .map(|(key, _)| key);
    if is_ordered(ask) || is_filtered(ask) {
        return answer(world, ask, views(world, keys.collect()));
    }
    let (keys, next) = cut(ask, keys)?;
    Ok(wrapped(world, ask, views(world, keys), next))
}

/// The resources of these keys as lists show them.
fn views(world: &World, keys: Vec<&String>) -> Vec<Json> {
    keys.into_iter()
        .filter_map(|key| generic::view(world, key))
        .map(Json::Object)
        .collect()
}

fn is_filtered(ask: &Ask) -> bool {
    ask.param("filter").is_some_and(|f| !f.trim().is_empty())
}

/// Only Compute Engine's lists are put into an order here.
fn is_ordered(ask: &Ask) -> bool {
    ask.service() == "compute" && ask.param("orderBy").is_some_and(|o| !o.trim().is_empty())
}

/// Wraps items as the method's answer: filtered, cut into a page.
pub fn answer(world: &World, ask: &Ask, items: Vec<Json>) -> Result<Json, Refusal> {
    unfiltered(world, ask, filtered(ask, items)?)
}

/// [`answer`] for a method whose filter has a language of its own.
pub fn unfiltered(world: &World, ask: &Ask, items: Vec<Json>) -> Result<Json, Refusal> {
    let (items, next) = cut(ask, ordered(ask, items)?)?;
    Ok(wrapped(world, ask, items, next))
}

/// One page as the method's answer.
fn wrapped(world: &World, ask: &Ask, items: Vec<Json>, next: Option<String>) -> Json {
    let mut out = head(world, ask);
    let field = items_field(world, ask);
    if !items.is_empty() {
        out.insert(field, Json::Array(items));
    }
    if let Some(next) = next {
        out.insert("nextPageToken".into(), json!(next));
    }
    if &*ask.method.service == "compute" {
        out.insert("selfLink".into(), json!(refs::link(&ask.rest)));
    }
    Json::Object(out)
}

fn filtered(ask: &Ask, items: Vec<Json>) -> Result<Vec<Json>, Refusal> {
    match ask.param("filter").filter(|f| !f.trim().is_empty()) {
        Some(text) => {
            let filter = Filter::parse(text)?;
            Ok(items.into_iter().filter(|i| filter.accepts(i)).collect())
        }
        None => Ok(items),
    }
}

/// "By default, results are returned in alphanumerical order based on the resource name. You can also sort
/// results in descending order based on the creation timestamp" (API description of `orderBy`).
fn ordered(ask: &Ask, mut items: Vec<Json>) -> Result<Vec<Json>, Refusal> {
    if !is_ordered(ask) {
        return Ok(items);
    }
    let order = ask.param("orderBy").map(str::trim).unwrap_or("");
    let text = |item: &Json, field: &str| {
        item.get(field)
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_string()
    };
    match order {
        "name" => items.sort_by_key(|i| text(i, "name")),
        "creationTimestamp desc" => {
            items.sort_by_key(|i| std::cmp::Reverse(text(i, "creationTimestamp")));
        }
        other => {
            let why = "Only name and creationTimestamp desc are supported.";
            return Err(Refusal::invalid("orderBy", other, why));
        }
    }
    Ok(items)
}

/// One page and the token of the next. Tokens are positions: the list is in the order of the names. What
/// comes after the page is not looked at.
fn cut<T>(
    ask: &Ask,
    items: impl IntoIterator<Item = T>,
) -> Result<(Vec<T>, Option<String>), Refusal> {
    let size = ask
        .param("maxResults")
        .or_else(|| ask.param("pageSize"))
        .and_then(|n| n.parse::<usize>().ok())
        .filter(|n| *n > 0)
        .unwrap_or(LARGEST)
        .min(LARGEST);
    let from = match ask.param("pageToken").filter(|t| !t.is_empty()) {
        Some(token) => token
            .strip_prefix("after-")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| Refusal::invalid("pageToken", token, "Invalid page token."))?,
        None => 0,
    };
    let mut rest = items.into_iter().skip(from);
    let page: Vec<T> = rest.by_ref().take(size).collect();
    let end = from.saturating_add(page.len());
    Ok((page, rest.next().map(|_| format!("after-{end}"))))
}

/// `kind` and `id` of a list, where its type has them.
fn head(world: &World, ask: &Ask) -> Map<String, Json> {
    let mut out = Map::new();
    let schema = ask
        .method
        .response
        .as_ref()
        .and_then(|r| world.catalog.schema(r));
    let kind = schema
        .as_ref()
        .and_then(|s| super::stamp::kind_of(s))
        .map(Json::String);
    if let Some(kind) = kind {
        out.insert("kind".into(), kind);
    }
    if &*ask.method.service == "compute" {
        out.insert("id".into(), json!(ask.rest));
    }
    out
}

/// The field that holds the items: the catalogue's, else the only list of the answer's type.
fn items_field(world: &World, ask: &Ask) -> String {
    if let Some(page) = &ask.method.page {
        return page.items.to_string();
    }
    let schema = ask
        .method
        .response
        .as_ref()
        .and_then(|r| world.catalog.schema(r));
    schema
        .and_then(|s| {
            s.fields
                .iter()
                .find(|(_, f)| matches!(f.kind, crate::catalog::Kind::List(_)))
                .map(|(name, _)| name.to_string())
        })
        .unwrap_or_else(|| "items".into())
}

/// `aggregatedList`: everything of one type in all scopes. Scopes without any carry a warning.
pub fn aggregated(world: &World, ask: &Ask, items: Vec<(String, Json)>) -> Result<Json, Refusal> {
    let global = items.iter().any(|(path, _)| path.contains("/global/"));
    let filter = match ask.param("filter").filter(|f| !f.trim().is_empty()) {
        Some(text) => Some(Filter::parse(text)?),
        None => None,
    };
    let kept = items
        .into_iter()
        .filter(|(_, item)| filter.as_ref().is_none_or(|f| f.accepts(item)));
    let (page, next) = cut(ask, kept)?;
    Ok(in_scopes(world, ask, global, page, next))
}

/// [`aggregated`] of resources that are there: only what stands on the page is looked at, unless a filter
/// needs all of it.
pub fn aggregated_list(world: &World, ask: &Ask) -> Result<Json, Refusal> {
    let kind = refs::last(&ask.rest);
    let prefix = format!("compute/projects/{}/", ask.project);
    let keys = world
        .resources
        .range(prefix.clone()..)
        .map(|(key, _)| key)
        .take_while(|key| key.starts_with(&prefix))
        .filter(|key| key.rsplit('/').nth(1) == Some(kind) && !world.is_hidden(key));
    let shown = |keys: Vec<&String>| -> Vec<(String, Json)> {
        keys.into_iter()
            .filter_map(|key| Some((key.clone(), Json::Object(generic::view(world, key)?))))
            .collect()
    };
    if is_filtered(ask) {
        return aggregated(world, ask, shown(keys.collect()));
    }
    let global = keys.clone().any(|key| key.contains("/global/"));
    let (page, next) = cut(ask, keys)?;
    Ok(in_scopes(world, ask, global, shown(page), next))
}

fn in_scopes(
    world: &World,
    ask: &Ask,
    global: bool,
    page: Vec<(String, Json)>,
    next: Option<String>,
) -> Json {
    let kind = refs::last(&ask.rest).to_string();
    let mut scopes: Map<String, Json> = Map::new();
    for scope in all_scopes(world, global) {
        scopes.insert(
            scope.clone(),
            json!({ "warning": {
                "code": "NO_RESULTS_ON_PAGE",
                "message": format!("There are no results for scope '{scope}' on this page."),
                "data": [{ "key": "scope", "value": scope }],
            } }),
        );
    }
    for (path, item) in page {
        let scope = scope_of(&path);
        let entry = scopes.entry(scope).or_insert_with(|| json!({}));
        if entry.get("warning").is_some() {
            *entry = json!({});
        }
        match entry.get_mut(&kind).and_then(Json::as_array_mut) {
            Some(list) => list.push(item),
            None => entry[&kind] = json!([item]),
        }
    }
    let mut out = head(world, ask);
    out.insert("items".into(), Json::Object(scopes));
    if let Some(next) = next {
        out.insert("nextPageToken".into(), json!(next));
    }
    out.insert("selfLink".into(), json!(refs::link(&ask.rest)));
    Json::Object(out)
}

fn scope_of(path: &str) -> String {
    match (refs::after(path, "zones"), refs::after(path, "regions")) {
        (Some(zone), _) => format!("zones/{zone}"),
        (_, Some(region)) => format!("regions/{region}"),
        _ => "global".into(),
    }
}

fn all_scopes(world: &World, global: bool) -> Vec<String> {
    let mut out = Vec::new();
    if global {
        out.push("global".to_string());
    }
    for region in world.scenario.regions.keys() {
        out.push(format!("regions/{region}"));
        out.extend(
            world
                .scenario
                .zones_of(region)
                .into_iter()
                .map(|z| format!("zones/{z}")),
        );
    }
    out
}
