//! Discovery documents into catalogue files: what is kept, and what is read out of the prose.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map as JsonMap, Value as Json};

use super::CatalogError;
use super::model::ServiceInfo;
use super::pack::{self, RecordKind};
use super::record::{FieldRecord, KindCode, MethodRecord, ParamRecord, flag};

/// A service in its compact form.
#[derive(Clone, Debug)]
pub struct Built {
    pub info: ServiceInfo,
    /// The content of `<service>.r5cat`.
    pub bytes: Vec<u8>,
}

/// Turns discovery documents (`kind: discovery#restDescription`) into catalogue files.
///
/// # Errors
/// Names the first thing that a document lacks.
pub fn build(documents: &[Json]) -> Result<Vec<Built>, CatalogError> {
    documents.iter().map(build_one).collect()
}

type Object = JsonMap<String, Json>;

fn build_one(document: &Json) -> Result<Built, CatalogError> {
    let name = document["name"].as_str().unwrap_or("?");
    let broken = |what: String| CatalogError::Document {
        service: name.to_owned(),
        what,
    };
    let text = |key: &str| {
        document[key]
            .as_str()
            .ok_or_else(|| broken(format!("`{key}` is missing")))
    };
    let service_path = text("servicePath")?.to_owned();
    let schemas = document["schemas"]
        .as_object()
        .ok_or_else(|| broken("`schemas` is missing".into()))?;

    let mut records: Vec<(RecordKind, String, Vec<u8>)> = Vec::new();
    let mut methods = Vec::new();
    collect_methods(document, text("name")?, &mut methods);
    for (id, method) in &methods {
        let record = method_record(method, &service_path, schemas)
            .map_err(|e| broken(format!("`{id}`: {e}")))?;
        records.push((RecordKind::Method, id.clone(), encode(&record)?));
    }
    for (schema_name, schema) in schemas {
        let record = field_record(schema).map_err(|e| broken(format!("`{schema_name}`: {e}")))?;
        records.push((RecordKind::Schema, schema_name.clone(), encode(&record)?));
    }
    records.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let unique = records
        .windows(2)
        .all(|pair| (pair[0].0, &pair[0].1) != (pair[1].0, &pair[1].1));
    if !unique {
        return Err(broken("two methods have one name".into()));
    }

    let info = ServiceInfo {
        name: text("name")?.into(),
        version: text("version")?.into(),
        revision: text("revision")?.into(),
        title: text("title")?.into(),
        root_url: text("rootUrl")?.into(),
        service_path: service_path.into(),
        batch_path: document["batchPath"].as_str().unwrap_or("batch").into(),
        methods: methods.len() as u32,
        schemas: schemas.len() as u32,
    };
    let bytes = pack::write(&info, &records).map_err(|e| broken(e.to_string()))?;
    Ok(Built { info, bytes })
}

fn encode(record: &impl serde::Serialize) -> Result<Vec<u8>, CatalogError> {
    serde_json::to_vec(record).map_err(|e| CatalogError::Document {
        service: "?".into(),
        what: e.to_string(),
    })
}

/// Methods under the name of the service and the path of resources, whatever prefix their own ids have
/// (`sql.instances.get`).
fn collect_methods<'a>(node: &'a Json, path: &str, out: &mut Vec<(String, &'a Json)>) {
    for (name, method) in node["methods"].as_object().into_iter().flatten() {
        out.push((format!("{path}.{name}"), method));
    }
    for (name, resource) in node["resources"].as_object().into_iter().flatten() {
        collect_methods(resource, &format!("{path}.{name}"), out);
    }
}

fn method_record(
    method: &Json,
    service_path: &str,
    schemas: &Object,
) -> Result<MethodRecord, String> {
    let path = method["path"].as_str().ok_or("`path` is missing")?;
    let reference = |key: &str| method[key]["$ref"].as_str().map(str::to_owned);
    let mut params = Vec::new();
    for (name, param) in method["parameters"].as_object().into_iter().flatten() {
        params.push(ParamRecord {
            name: name.clone(),
            in_path: param["location"] == "path",
            required: param["required"] == true,
            repeated: param["repeated"] == true,
            field: field_record(param)?,
        });
    }
    params.sort_by_key(|p| {
        let place = path_position(path, &p.name);
        (!p.in_path, place, p.name.clone())
    });
    let response = reference("response");
    let has_token = params.iter().any(|p| p.name == "pageToken");
    let page_items = response
        .as_ref()
        .filter(|_| has_token)
        .and_then(|name| page_items(&schemas.get(name)?["properties"]));
    Ok(MethodRecord {
        verb: method["httpMethod"].as_str().unwrap_or("GET").to_owned(),
        path: format!("{service_path}{path}"),
        params,
        request: reference("request"),
        response,
        page_items,
        deprecated: method["deprecated"] == true,
        media_upload: method["supportsMediaUpload"] == true,
    })
}

fn path_position(path: &str, name: &str) -> usize {
    path.find(&format!("{{{name}}}"))
        .or_else(|| path.find(&format!("{{+{name}}}")))
        .unwrap_or(usize::MAX)
}

/// The field with the items: `items`, else the only list or map besides `unreachable`, `warnings`.
fn page_items(properties: &Json) -> Option<String> {
    let properties = properties.as_object()?;
    properties.get("nextPageToken")?;
    if properties.contains_key("items") {
        return Some("items".into());
    }
    let many =
        |field: &Json| field["type"] == "array" || field.get("additionalProperties").is_some();
    let mut candidates = properties
        .iter()
        .filter(|(name, field)| many(field) && !SIDE_LISTS.contains(&name.as_str()))
        .map(|(name, _)| name.clone());
    let first = candidates.next()?;
    Some(first)
}

const SIDE_LISTS: &[&str] = &[
    "unreachable",
    "unreachables",
    "warnings",
    "prefixes",
    "missingZones",
];

fn field_record(schema: &Json) -> Result<FieldRecord, String> {
    let prose = schema["description"].as_str().unwrap_or("");
    let text = |key: &str| schema[key].as_str().map(str::to_owned);
    let mut record = FieldRecord {
        flags: flags(schema, prose),
        required_for: strings(&schema["annotations"]["required"]),
        ..FieldRecord::default()
    };
    if let Some(name) = schema["$ref"].as_str() {
        record.kind = KindCode::Schema;
        record.schema = Some(name.to_owned());
        return Ok(record);
    }
    let format = schema["format"].as_str();
    record.kind = match (schema["type"].as_str(), format) {
        (Some("boolean"), _) => KindCode::Bool,
        (Some("string"), Some("int64")) => KindCode::Int64,
        (Some("string"), Some("uint64")) => KindCode::Uint64,
        (Some("string"), _) => KindCode::String,
        (Some("integer"), Some("uint32")) => KindCode::Uint32,
        (Some("integer"), _) => KindCode::Int32,
        (Some("number"), _) => KindCode::Number,
        (Some("any"), _) => KindCode::Any,
        (Some("array"), _) => KindCode::List,
        (Some("object"), _) if schema.get("additionalProperties").is_some() => KindCode::Map,
        (Some("object"), _) => KindCode::Object,
        (other, _) => return Err(format!("type {other:?} is not known")),
    };
    let inner = match record.kind {
        KindCode::List => Some(&schema["items"]),
        KindCode::Map => Some(&schema["additionalProperties"]),
        _ => None,
    };
    if let Some(inner) = inner {
        record.element = Some(Box::new(field_record(inner)?));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        record.fields.insert(name.clone(), field_record(field)?);
    }
    if record.kind == KindCode::String {
        record.format = text("format");
        record.pattern = text("pattern");
        record.values = strings(&schema["enum"]);
        record.deprecated_values = deprecated_values(&schema["enumDeprecated"]);
    }
    record.min = text("minimum");
    record.max = text("maximum");
    record.default = default_of(schema, prose, &record);
    Ok(record)
}

fn strings(json: &Json) -> Vec<String> {
    json.as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

fn deprecated_values(json: &Json) -> Vec<u32> {
    json.as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, v)| **v == true)
        .map(|(i, _)| i as u32)
        .collect()
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("invariant: a literal pattern compiles"));
    };
}

pattern!(
    OUTPUT_ONLY,
    r"(?i)^\W*output[- ]only\b|\(output only\)|[.]\s+output only\."
);
pattern!(
    INPUT_ONLY,
    r"(?i)^\W*input[- ]only\b|[.\]]\s*\[?input only|\[input only\]|\binput[- ]only\."
);
pattern!(IMMUTABLE, r"(?:^|[.\]]\s+)Immutable\.");
pattern!(REQUIRED, r"^\s*(?:\[Required\]|Required\.|REQUIRED)");
pattern!(
    REFERENCE,
    r"(?i)\bURLs?\b[^.]{0,60}\b(?:of|to|for|resource|that)\b|\b(?:partial|full|fully[- ]qualified|relative|valid|resource|server-defined)[- ]?(?:or partial)?\s?URLs?\b|self[- ]?links?\b|projects/(?:\{|project|my-project|PROJECT|\[)|googleapis\.com/compute/v1/"
);
pattern!(
    DEFAULT,
    r#"(?i)\bdefault(?: value)?(?: is|s to|: )(?: set to)?\s*[`"']?(-?[A-Za-z0-9_.]+?)[`"']?(?:[.,;)]*(?:\s|$)|\.$)(seconds?\b|minutes?|hours?|days?|if|for|and|or|,|when|%|GB|MB)?"#
);

fn flags(schema: &Json, prose: &str) -> u32 {
    let is_text = |json: &Json| json["type"] == "string" && json.get("enum").is_none();
    let may_refer = is_text(schema) || is_text(&schema["items"]);
    let found = [
        (
            flag::OUTPUT_ONLY,
            schema["readOnly"] == true || OUTPUT_ONLY.is_match(prose),
        ),
        (flag::INPUT_ONLY, INPUT_ONLY.is_match(prose)),
        (flag::IMMUTABLE, IMMUTABLE.is_match(prose)),
        (flag::REQUIRED, REQUIRED.is_match(prose)),
        (flag::DEPRECATED, schema["deprecated"] == true),
        (flag::REFERENCE, may_refer && REFERENCE.is_match(prose)),
    ];
    found.iter().filter(|(_, is)| *is).map(|(bit, _)| bit).sum()
}

/// The default that the document states, else the one that its prose states as a plain literal of
/// the field's own type. "Default is 30s" or "the default is the project's" give none.
fn default_of(schema: &Json, prose: &str, record: &FieldRecord) -> Option<Json> {
    if let Some(stated) = schema["default"].as_str() {
        return literal(stated, record);
    }
    let found = DEFAULT.captures(prose)?;
    let condition = found.get(2).map_or("", |m| m.as_str());
    if matches!(
        condition,
        "if" | "for"
            | "when"
            | "or"
            | "%"
            | "minutes"
            | "minute"
            | "hours"
            | "hour"
            | "days"
            | "day"
    ) {
        return None;
    }
    literal(found.get(1)?.as_str().trim_end_matches('.'), record)
}

fn literal(text: &str, record: &FieldRecord) -> Option<Json> {
    match record.kind {
        KindCode::Bool => text.to_ascii_lowercase().parse().ok().map(Json::Bool),
        KindCode::Int32 | KindCode::Uint32 => text.parse::<i64>().ok().map(Json::from),
        KindCode::Int64 | KindCode::Uint64 => {
            text.parse::<i128>().ok().map(|n| Json::from(n.to_string()))
        }
        KindCode::Number => text.parse::<f64>().ok().map(crate::value::number),
        KindCode::String if record.values.iter().any(|v| v == text) => Some(Json::from(text)),
        _ => None,
    }
}
