//! What `r5flow catalog NAME` prints: services, a collection, a method, a type, as one wants to read
//! them while writing a flow.

use std::fmt::Write;

use super::{
    Catalog, Collection, Field, IdentitySource, InsertId, Kind, ListKind, Method, NameKind,
    OperationScope, OperationStyle, Param, Place, RequestId, Schema, SchemaId, Unit,
};

const WIDTH: usize = 100;
/// Enums longer than this are cut; the type has a page of its own then.
const VALUES: usize = 12;

/// The page of a name, or of all services for `None`.
///
/// # Errors
/// What to say when nothing has this name, with the nearest right one.
pub fn describe(catalog: &Catalog, name: Option<&str>) -> Result<String, String> {
    let Some(name) = name else {
        return Ok(services(catalog));
    };
    if catalog.service(name).is_some() {
        return Ok(service(catalog, name));
    }
    if let Some(method_found) = catalog.method(name) {
        return Ok(method(catalog, &method_found));
    }
    if let Some(found) = SchemaId::parse(name).and_then(|id| catalog.schema(&id)) {
        return Ok(schema(&found));
    }
    if let Some(found) = catalog.collection(name) {
        return Ok(collection(&found));
    }
    Err(unknown(catalog, name))
}

/// Every method that changes something, of one service or of all, with its settle class.
///
/// # Errors
/// There is no such service.
pub fn classes(catalog: &Catalog, service: Option<&str>) -> Result<String, String> {
    if let Some(name) = service.filter(|name| catalog.service(name).is_none()) {
        return Err(unknown(catalog, name));
    }
    let wanted = |name: &str| service.is_none_or(|s| s == name);
    let services = catalog.services().filter(|s| wanted(&s.name));
    let mut out = String::new();
    for info in services {
        let methods = catalog.methods(&info.name);
        for method in methods
            .iter()
            .filter_map(|id| catalog.method(id))
            .filter(|m| !m.reads)
        {
            let note = match method.settle.settles_itself() {
                true => "",
                false => ", needs `repeat safe` or `on doubt ask`",
            };
            let class = method.settle.as_str();
            out.push_str(&format!("{class:17}  {}{note}\n", method.id));
        }
    }
    Ok(out)
}

fn unknown(catalog: &Catalog, name: &str) -> String {
    let kinds = [
        NameKind::Collection,
        NameKind::Method,
        NameKind::Schema,
        NameKind::Service,
    ];
    let candidates: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| catalog.suggest(kind, name))
        .collect();
    match crate::diag::nearest(name, candidates.iter().map(String::as_str)) {
        Some(right) => format!("the catalogue has no `{name}`; did you mean `{right}`?"),
        None => format!("the catalogue has no `{name}`; `r5flow catalog` lists the services"),
    }
}

/// A table of all services.
pub fn services(catalog: &Catalog) -> String {
    let mut out = String::new();
    for info in catalog.services() {
        let _ = writeln!(
            out,
            "{:<22} {:<3} {}  {:>4} methods  {:>4} types  {}",
            info.name, info.version, info.revision, info.methods, info.schemas, info.title
        );
    }
    out
}

fn service(catalog: &Catalog, name: &str) -> String {
    let mut out = String::new();
    if let Some(info) = catalog.service(name) {
        let _ = writeln!(
            out,
            "{} {}, revision {}\n{}{}\n\nCollections",
            info.title, info.version, info.revision, info.root_url, info.service_path
        );
    }
    for path in catalog.collections(name) {
        let methods = catalog
            .collection(&path)
            .map_or_else(Vec::new, |c| c.methods.clone());
        listing(
            &mut out,
            &format!("  {path}: "),
            methods.iter().map(|m| &**m),
        );
    }
    out
}

/// A head and words separated by commas, wrapped below the head.
fn listing<'a>(out: &mut String, head: &str, words: impl IntoIterator<Item = &'a str>) {
    let words: Vec<&str> = words.into_iter().collect();
    wrap(out, head, 6, &words.join(", "));
}

/// How flows call it, its parameters, how it is settled and waited for, its body and its answer.
pub fn method(catalog: &Catalog, method: &Method) -> String {
    let mut out = String::new();
    let collection = catalog.collection(&method.collection);
    let _ = writeln!(
        out,
        "{}\n  {} {}",
        method.id,
        method.verb.as_str(),
        method.path
    );
    if method.deprecated {
        out.push_str("  deprecated\n");
    }
    out.push('\n');
    listing(
        &mut out,
        "",
        [call_form(method, collection.as_deref()).as_str()],
    );
    params(&mut out, method);
    out.push('\n');
    conduct(&mut out, method);
    if let Some(body) = method.request.as_ref().and_then(|id| catalog.schema(id)) {
        let _ = writeln!(out, "\nBody ({})", body.id);
        fields(&mut out, &body, Some(&method.id));
    }
    if let Some(answer) = &method.response {
        let _ = writeln!(out, "\nAnswer: {answer}");
    }
    out
}

fn call_form(method: &Method, collection: Option<&Collection>) -> String {
    let verb = if method.reads { "read" } else { "call" };
    let id = collection.and_then(|c| c.id.as_deref());
    let mut args: Vec<String> = Vec::new();
    let mut push = |name: &str| {
        if Some(name) == id {
            args.insert(0, format!("\"{name}\""));
        } else {
            args.push(format!("{name}: …"));
        }
    };
    for param in method.path_params() {
        match &param.full_name {
            Some(full) => full.values().for_each(|name| push(name)),
            None => push(&param.name),
        }
    }
    let required = method.query_params().filter(|p| p.required);
    required.for_each(|p| push(&p.name));
    let body = if method.request.is_some() {
        " { … }"
    } else {
        ""
    };
    format!("{verb} {}({}){body}", method.id, args.join(", "))
}

fn params(out: &mut String, method: &Method) {
    if method.params.is_empty() {
        return;
    }
    out.push_str("\nParameters\n");
    let width = method.params.iter().map(|p| p.name.len()).max();
    for param in &method.params {
        let mut facts = vec![kind_text(&param.kind, None)];
        if param.place == Place::Path || param.required {
            facts.insert(0, "required".into());
        }
        param_facts(param, &mut facts);
        let head = format!("  {:<1$}  ", param.name, width.unwrap_or(0));
        listing(out, &head, facts.iter().map(String::as_str));
    }
    for part in method.parts() {
        let _ = writeln!(out, "  {part}: a part of the full name above");
    }
}

fn param_facts(param: &Param, facts: &mut Vec<String>) {
    if param.repeated {
        facts.push("several".into());
    }
    match (&param.full_name, &param.kind) {
        (Some(full), _) => facts.push(format!("`{full}`")),
        (
            None,
            Kind::String {
                pattern: Some(pattern),
                ..
            },
        ) => facts.push(pattern_text(pattern)),
        _ => {}
    }
    if let Some(default) = &param.default {
        facts.push(format!("default {default}"));
    }
    if param.deprecated {
        facts.push("deprecated".into());
    }
}

/// Settle class, request id, operation, pages.
fn conduct(out: &mut String, method: &Method) {
    let mut say = |head: &str, text: String| wrapped(out, &format!("{head:<16}"), &text);
    say("if in doubt", method.settle.story().to_owned());
    match &method.request_id {
        Some(RequestId::Replay(name)) => say("request id", format!("`{name}`, drawn by r5flow")),
        Some(RequestId::Unique(name)) => say(
            "request id",
            format!("`{name}`, drawn by r5flow; a repetition is an error, not a replay"),
        ),
        None => {}
    }
    match &method.operation {
        OperationStyle::None => {}
        OperationStyle::Compute(scope) => {
            let which = match scope {
                OperationScope::Zone => "zone",
                OperationScope::Region => "region",
                OperationScope::Global => "global",
                OperationScope::Organization => "organization",
            };
            say(
                "the step waits",
                format!("for a {which} operation, with its `wait` method"),
            );
        }
        OperationStyle::Sql => say("the step waits", "polling `sqladmin.operations.get`".into()),
        OperationStyle::LongRunning { get }
        | OperationStyle::Container { get }
        | OperationStyle::Dns { get } => say("the step waits", format!("polling `{get}`")),
    }
    if let Some(page) = &method.page {
        say(
            "pages",
            format!("all pages are read; the items are in `{}`", page.items),
        );
    }
    if method.media_upload {
        say(
            "upload",
            "the content of a file cannot be sent by a flow".into(),
        );
    }
}

/// Text behind a head, broken between words; the lines after the first stand below the text.
pub fn wrapped(out: &mut String, head: &str, text: &str) {
    wrap(out, head, head.len(), text);
}

/// Breaks between words; the lines after the first are indented.
fn wrap(out: &mut String, head: &str, indent: usize, text: &str) {
    let mut line = head.to_owned();
    for word in text.split(' ') {
        let fresh = line.trim().is_empty();
        if !fresh && line.chars().count() + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// A type: the fields one writes, then those that Google sets.
pub fn schema(schema: &Schema) -> String {
    let mut out = format!("{}\n\n", schema.id);
    fields(&mut out, schema, None);
    out
}

fn fields(out: &mut String, schema: &Schema, method: Option<&str>) {
    if let Some(kind) = &schema.other {
        let _ = writeln!(out, "  {}", kind_text(kind, None));
    }
    let width = (schema.fields.iter().filter(|(_, f)| !f.output_only))
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0)
        .min(40);
    let (set_by_google, written): (Vec<_>, Vec<_>) =
        schema.fields.iter().partition(|(_, f)| f.output_only);
    for (name, field) in written {
        let head = format!("  {name:<width$}  ");
        let facts = field_facts(field, method);
        listing(out, &head, facts.iter().map(String::as_str));
    }
    if !set_by_google.is_empty() {
        let names = set_by_google.into_iter().map(|(name, _)| &**name);
        listing(out, "\n  set by Google: ", names);
    }
}

fn field_facts(field: &Field, method: Option<&str>) -> Vec<String> {
    let mut facts = vec![kind_text(&field.kind, field.unit)];
    let needed = method.is_some_and(|m| field.required_for.iter().any(|id| **id == *m));
    let marks = [
        (needed || field.required, "required"),
        (field.reference, "a link"),
        (field.list == ListKind::Set, "no order"),
        (field.input_only, "never shown again"),
        (field.immutable, "immutable"),
        (field.deprecated, "deprecated"),
    ];
    facts.extend(marks.iter().filter(|m| m.0).map(|m| m.1.to_owned()));
    if let ListKind::KeyedBy(key) = field.list {
        facts.push(format!("by `{key}`"));
    }
    if let Some(default) = &field.default {
        facts.push(format!("default {default}"));
    }
    if let Kind::String {
        pattern: Some(pattern),
        ..
    } = &field.kind
    {
        facts.push(pattern_text(pattern));
    }
    facts
}

fn kind_text(kind: &Kind, unit: Option<Unit>) -> String {
    match kind {
        Kind::Bool => "bool".into(),
        Kind::String { values, .. } if !values.is_empty() => enum_text(values),
        Kind::String {
            format: Some(format),
            ..
        } => match &**format {
            "google-duration" => "duration".into(),
            "google-datetime" | "date-time" => "timestamp".into(),
            "byte" => "base64 text".into(),
            other => other.to_owned(),
        },
        Kind::String { .. } => "string".into(),
        Kind::Int { min, max, .. } => number_text("int", unit, int_range(*min, *max)),
        Kind::Number { min, max } => {
            let range = match (min, max) {
                (Some(min), Some(max)) => Some(format!("{min}..{max}")),
                _ => None,
            };
            number_text("number", unit, range)
        }
        Kind::Any => "any".into(),
        Kind::List(element) => format!("list of {}", kind_text(element, unit)),
        Kind::Map(element) => format!("map of {}", kind_text(element, None)),
        Kind::Schema(id) => id.to_string(),
        Kind::Inline(schema) => {
            let names: Vec<&str> = schema.fields.keys().map(|n| &**n).collect();
            format!("{{ {} }}", names.join(" "))
        }
    }
}

/// Patterns that fill a line say nothing to people.
fn pattern_text(pattern: &str) -> String {
    if pattern.len() > 70 {
        "in the form that Google prescribes".into()
    } else {
        format!("matches `{pattern}`")
    }
}

fn enum_text(values: &[super::EnumValue]) -> String {
    let current: Vec<&str> = (values.iter().filter(|v| !v.deprecated))
        .map(|v| &*v.name)
        .collect();
    let shown = current.len().min(VALUES);
    let mut text = current[..shown].join(" | ");
    if current.len() > shown {
        let _ = write!(text, " | … {} more", current.len() - shown);
    }
    text
}

fn int_range(min: i128, max: i128) -> Option<String> {
    let usual = [
        (i128::from(i32::MIN), i128::from(i32::MAX)),
        (0, i128::from(u32::MAX)),
        (i128::from(i64::MIN), i128::from(i64::MAX)),
        (0, i128::from(u64::MAX)),
    ];
    (!usual.contains(&(min, max))).then(|| format!("{min}..{max}"))
}

fn number_text(plain: &str, unit: Option<Unit>, range: Option<String>) -> String {
    let base = match unit {
        None => plain.to_owned(),
        Some(Unit::Seconds) => "duration in seconds".into(),
        Some(Unit::Millis) => "duration in milliseconds".into(),
        Some(Unit::Micros) => "duration in microseconds".into(),
        Some(Unit::Nanos) => "duration in nanoseconds".into(),
        Some(Unit::Minutes) => "duration in minutes".into(),
        Some(Unit::Hours) => "duration in hours".into(),
        Some(Unit::Days) => "duration in days".into(),
        Some(Unit::GoogleDuration) => "duration".into(),
        Some(Unit::Fraction) => "fraction, 60% is 0.6".into(),
        Some(Unit::Percent) => "percent, 60% is 60".into(),
        Some(Unit::Bytes) => "size in bytes".into(),
        Some(Unit::MiB) => "size in MiB".into(),
        Some(Unit::GiB) => "size in GiB".into(),
    };
    match range {
        Some(range) => format!("{base} {range}"),
        None => base,
    }
}

/// Its methods, how a resource is named, and whether flows can `ensure` one.
pub fn collection(collection: &Collection) -> String {
    let mut out = format!("{}\n\n", collection.path);
    let id = collection.id.as_deref().unwrap_or("id");
    if collection.can_ensure() {
        let others: Vec<String> = (collection.identity.iter())
            .filter(|p| &*p.name != id)
            .map(|p| format!(", {}: …", p.name))
            .collect();
        let form = format!(
            "ensure {}(\"{id}\"{}) {{ … }}",
            collection.path,
            others.concat()
        );
        let _ = writeln!(out, "{form}\n");
        wrapped(
            &mut out,
            "on insert       ",
            &insert_text(&collection.insert_id, id),
        );
        wrapped(&mut out, "if it differs   ", change_text(collection));
    } else if collection.insert.is_some() {
        let text = "no `ensure`: the server picks the name; use `call` of the creating method";
        wrapped(&mut out, "", text);
    }
    if let Some(full) = &collection.full_name {
        wrapped(&mut out, "full name       ", &full.to_string());
    }
    for param in &collection.identity {
        if param.source == IdentitySource::QueryShared {
            let text = format!("`{}` is a part of the identity, in the query", param.name);
            wrapped(&mut out, "identity        ", &text);
        }
    }
    if let Some(resource) = &collection.resource {
        wrapped(&mut out, "resource        ", &resource.to_string());
    }
    out.push('\n');
    listing(
        &mut out,
        "methods         ",
        collection.methods.iter().map(|m| &**m),
    );
    out
}

fn insert_text(insert_id: &InsertId, id: &str) -> String {
    match insert_id {
        InsertId::BodyField(field) => format!("the id goes into the body as `{field}`"),
        InsertId::EnvelopeField(field) => format!("the id goes beside the resource as `{field}`"),
        InsertId::QueryParam(param) => format!("the id goes into the query as `{param}`"),
        InsertId::PathParam(_) => format!("`{id}` is in the path"),
        InsertId::ServerChosen => "the server picks the name".into(),
    }
}

fn change_text(collection: &Collection) -> &'static str {
    match (&collection.patch, &collection.update) {
        (Some(_), _) => "only the written fields are patched",
        (None, Some(_)) => "the resource is read, changed and written back as a whole",
        (None, None) => "it cannot be changed: the run stops, unless `on change replace`",
    }
}

#[cfg(test)]
mod tests;
