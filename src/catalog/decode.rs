//! Records into what the rest of the program sees.

use std::sync::Arc;

use indexmap::IndexMap;

use super::full_name::FullName;
use super::model::{
    EnumValue, Field, Kind, ListKind, Method, OperationStyle, Page, Param, Place, RequestId,
    Schema, SchemaId, SettleClass,
};
use super::record::{FieldRecord, KindCode, MethodRecord, ParamRecord, flag};
use super::rules::{bounds, lists, reads, secrets, units};
use crate::wire::Verb;

/// Everything that the record alone tells; operation and settle class need the service too.
pub(super) fn method(service: &Arc<str>, id: &Arc<str>, record: MethodRecord) -> Option<Method> {
    let (collection, name) = id.rsplit_once('.')?;
    let schema = |name: Option<String>| name.map(|n| SchemaId::new(Arc::clone(service), n));
    let params: Vec<Param> = record
        .params
        .into_iter()
        .map(|p| param(service, p))
        .collect();
    let page = record.page_items.map(|items| Page {
        items: items.into(),
        token: "pageToken".into(),
    });
    let mut method = Method {
        id: Arc::clone(id),
        service: Arc::clone(service),
        collection: collection.into(),
        name: name.into(),
        verb: Verb::parse(&record.verb)?,
        path: record.path.into(),
        request_id: request_id(&params),
        params,
        request: schema(record.request),
        response: schema(record.response),
        reads: false,
        operation: OperationStyle::None,
        settle: SettleClass::Unsafe,
        page,
        deprecated: record.deprecated,
        media_upload: record.media_upload,
    };
    method.reads = reads::reads(&method);
    if method.reads {
        method.request_id = None;
    }
    Some(method)
}

fn request_id(params: &[Param]) -> Option<RequestId> {
    let named = |name: &str| params.iter().find(|p| &*p.name == name);
    match (named("requestId"), named("clientOperationId")) {
        (Some(p), _) => Some(RequestId::Replay(Arc::clone(&p.name))),
        (None, Some(p)) => Some(RequestId::Unique(Arc::clone(&p.name))),
        (None, None) => None,
    }
}

fn param(service: &Arc<str>, record: ParamRecord) -> Param {
    let full_name = match &record.field.pattern {
        Some(pattern) if record.in_path => FullName::from_pattern(pattern).map(Arc::new),
        _ => None,
    };
    Param {
        place: if record.in_path {
            Place::Path
        } else {
            Place::Query
        },
        required: record.required,
        repeated: record.repeated,
        default: record.field.default.clone(),
        deprecated: record.field.flags & flag::DEPRECATED != 0,
        kind: kind(service, &record.name, &record.field),
        name: record.name.into(),
        full_name,
    }
}

/// A whole type.
pub(super) fn schema(service: &Arc<str>, name: &str, record: &FieldRecord) -> Schema {
    let owner = format!("{service}.{name}");
    let id = SchemaId::new(Arc::clone(service), name);
    let other = match record.kind {
        KindCode::Object => None,
        _ => Some(kind(service, &owner, record)),
    };
    let fields: IndexMap<Arc<str>, Field> = record
        .fields
        .iter()
        .map(|(name, r)| (Arc::from(name.as_str()), field(service, &owner, name, r)))
        .collect();
    Schema { id, fields, other }
}

fn field(service: &Arc<str>, owner: &str, name: &str, record: &FieldRecord) -> Field {
    let mut kind = kind(service, &format!("{owner}.{name}"), record);
    if let Some((least, greatest)) = bounds::bounds(owner, name) {
        narrow(&mut kind, least, greatest);
    }
    let list = match kind {
        Kind::List(_) => lists::list_kind(owner, name),
        _ => ListKind::Ordered,
    };
    let has = |bit: u32| record.flags & bit != 0;
    Field {
        unit: units::unit(owner, name, &kind),
        list,
        output_only: has(flag::OUTPUT_ONLY) && !SETTABLE.contains(&(owner, name)),
        input_only: has(flag::INPUT_ONLY) || NEVER_SHOWN.contains(&name),
        secret: secrets::is_secret(owner, name),
        immutable: has(flag::IMMUTABLE),
        required: has(flag::REQUIRED),
        deprecated: has(flag::DEPRECATED),
        reference: is_reference(name, &kind, has(flag::REFERENCE)),
        default: record.default.clone(),
        required_for: record
            .required_for
            .iter()
            .map(|id| rename(service, id))
            .collect(),
        kind,
    }
}

/// Described as output-only, and yet taken on insert: Terraform sends it there (and uses
/// setNamedPorts afterwards, since patch ignores it).
const SETTABLE: &[(&str, &str)] = &[("compute.InstanceGroupManager", "namedPorts")];

/// Fields that no answer shows, whatever their type, where the description does not say so.
const NEVER_SHOWN: &[&str] = &[
    "initializeParams",
    "password",
    "pemPrivateKey",
    "privateKey",
    "rawKey",
    "rootPassword",
    "rsaEncryptedKey",
    "sharedSecret",
];

/// Links whose descriptions do not say so.
const LINKS: &[&str] = &[
    "healthCheck",
    "instanceTemplate",
    "network",
    "networkUrl",
    "privateNetwork",
    "selfLink",
    "sourceDisk",
    "sourceImage",
    "sourceSnapshot",
    "subnetwork",
];

/// Texts whose descriptions speak of URLs without being one of a resource.
const NO_LINKS: &[&str] = &[
    "headerName",
    "hosts",
    "match",
    "members",
    "portalUrl",
    "retryConditions",
    "url",
    "urlMask",
];

fn is_reference(name: &str, kind: &Kind, described: bool) -> bool {
    let text = |kind: &Kind| matches!(kind, Kind::String { values, .. } if values.is_empty());
    let holds_text = match kind {
        Kind::List(element) => text(element),
        kind => text(kind),
    };
    holds_text && !NO_LINKS.contains(&name) && (described || LINKS.contains(&name))
}

/// Annotations name methods by the document's own prefix: `sql.instances.insert`.
fn rename(service: &Arc<str>, id: &str) -> Arc<str> {
    match id.split_once('.') {
        Some((prefix, rest)) if prefix != &**service => format!("{service}.{rest}").into(),
        _ => id.into(),
    }
}

fn narrow(kind: &mut Kind, least: f64, greatest: f64) {
    match kind {
        Kind::Int { min, max, .. } => {
            *min = (*min).max(least as i128);
            *max = (*max).min(greatest as i128);
        }
        Kind::Number { min, max } => {
            *min = Some(least);
            *max = Some(greatest);
        }
        _ => {}
    }
}

/// `path` names inline types: `compute.Firewall.allowed`.
fn kind(service: &Arc<str>, path: &str, record: &FieldRecord) -> Kind {
    let element = || {
        let inner = record
            .element
            .as_ref()
            .map_or(Kind::Any, |e| kind(service, path, e));
        Box::new(inner)
    };
    match record.kind {
        KindCode::Bool => Kind::Bool,
        KindCode::String => Kind::String {
            format: record.format.as_deref().map(Arc::from),
            pattern: record.pattern.as_deref().map(Arc::from),
            values: enum_values(record),
        },
        KindCode::Int32 => int(record, false, i32::MIN.into(), i32::MAX.into()),
        KindCode::Uint32 => int(record, false, 0, u32::MAX.into()),
        KindCode::Int64 => int(record, true, i64::MIN.into(), i64::MAX.into()),
        KindCode::Uint64 => int(record, true, 0, u64::MAX.into()),
        KindCode::Number => Kind::Number {
            min: record.min.as_ref().and_then(|m| m.parse().ok()),
            max: record.max.as_ref().and_then(|m| m.parse().ok()),
        },
        KindCode::Any => Kind::Any,
        KindCode::List => Kind::List(element()),
        KindCode::Map => Kind::Map(element()),
        KindCode::Schema => match &record.schema {
            Some(name) => Kind::Schema(SchemaId::new(Arc::clone(service), name.as_str())),
            None => Kind::Any,
        },
        KindCode::Object if record.fields.is_empty() => Kind::Map(Box::new(Kind::Any)),
        KindCode::Object => {
            let name = path.strip_prefix(&**service).unwrap_or(path);
            let name = name.strip_prefix('.').unwrap_or(name);
            Kind::Inline(Arc::new(schema(service, name, record)))
        }
    }
}

fn enum_values(record: &FieldRecord) -> Vec<EnumValue> {
    record
        .values
        .iter()
        .enumerate()
        .map(|(i, name)| EnumValue {
            name: name.as_str().into(),
            deprecated: record.deprecated_values.contains(&(i as u32)),
        })
        .collect()
}

fn int(record: &FieldRecord, as_string: bool, least: i128, greatest: i128) -> Kind {
    let bound = |text: &Option<String>| text.as_ref().and_then(|t| t.parse::<i128>().ok());
    Kind::Int {
        as_string,
        min: bound(&record.min).map_or(least, |n| n.max(least)),
        max: bound(&record.max).map_or(greatest, |n| n.min(greatest)),
    }
}
