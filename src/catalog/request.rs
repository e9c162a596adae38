//! Arguments and a body into a complete request.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::coerce::{self, scalar_matches};
use super::{FullName, Kind, Method, Param, Place, Problem};
use crate::diag::nearest;
use crate::value::Value;
use crate::wire::Request;

type Args = BTreeMap<Arc<str>, Value>;

/// Fills the path, puts the other parameters into the query by name, and takes the body as it is.
///
/// An argument may name a parameter, or a part of a parameter that is a full resource name
/// (`location`, `service`). A full name given without a slash is its last part. Values that are
/// known only later stand as `(after step)`.
///
/// # Errors
/// Unknown and missing arguments, values against a pattern, a range or an enum, a body that the
/// method does not take.
pub fn build(method: &Method, args: &Args, body: Option<Json>) -> Result<Request, Vec<Problem>> {
    let mut problems = Vec::new();
    unknown_arguments(method, args, &mut problems);
    if body.is_some() && method.request.is_none() {
        let message = format!("`{}` takes no body", method.id);
        problems.push(Problem::field("", message));
    }
    let mut values: BTreeMap<&str, Filled> = BTreeMap::new();
    let mut query = Vec::new();
    for param in &method.params {
        match (param.place, argument(method, param, args)) {
            (_, Err(problem)) => problems.push(problem),
            (Place::Path, Ok(texts)) => {
                if let Some(first) = texts.into_iter().next() {
                    values.insert(&*param.name, first);
                }
            }
            (Place::Query, Ok(texts)) => {
                query.extend(texts.into_iter().map(|t| (param.name.to_string(), t.text)));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Request {
        method: Arc::clone(&method.id),
        verb: method.verb,
        path: fill(&method.path, &values),
        query,
        headers: Vec::new(),
        body,
    })
}

struct Filled {
    text: String,
    /// Known only after a step: shown, never sent.
    later: bool,
}

fn unknown_arguments(method: &Method, args: &Args, problems: &mut Vec<Problem>) {
    let parts = method.parts();
    for name in args.keys() {
        if method.param(name).is_some() || parts.contains(name) {
            continue;
        }
        let known = method.params.iter().map(|p| &*p.name);
        let right = nearest(name, known.chain(parts.iter().map(|p| &**p)));
        let message = match right {
            Some(right) => format!(
                "`{}` has no parameter `{name}`; did you mean `{right}`?",
                method.id
            ),
            None => format!("`{}` has no parameter `{name}`", method.id),
        };
        problems.push(Problem::param(name, message));
    }
}

/// The texts of one parameter: none when it is left out, several when it repeats.
fn argument(method: &Method, param: &Param, args: &Args) -> Result<Vec<Filled>, Problem> {
    let given = args
        .get(&param.name)
        .filter(|v| !matches!(v, Value::Unset | Value::Null));
    if let Some(full) = &param.full_name {
        return full_name(method, param, full, given, args).map(|f| f.into_iter().collect());
    }
    let one = |value: &Value| {
        let text = coerce::param(param, value)?;
        let later = value.is_later();
        Ok(Filled { text, later })
    };
    match given {
        Some(Value::List(items)) if param.repeated => items
            .iter()
            .filter(|v| **v != Value::Unset)
            .map(one)
            .collect(),
        Some(value) => {
            let filled = one(value)?;
            if filled.text.is_empty() && param.place == Place::Path {
                return Err(Problem::param(
                    &param.name,
                    format!("`{}` is empty, and it is a part of the path", param.name),
                ));
            }
            Ok(vec![filled])
        }
        None if param.required || param.place == Place::Path => Err(missing(method, &param.name)),
        None => Ok(Vec::new()),
    }
}

fn missing(method: &Method, name: &Arc<str>) -> Problem {
    let by_at = ["project", "region", "zone", "location"].contains(&&**name);
    let how = if by_at {
        format!("write `{name}: …` or give it by `at {{ {name} }}`")
    } else {
        format!("write `{name}: …`")
    };
    Problem::param(name, format!("`{}` needs `{name}`; {how}", method.id))
}

/// A whole name as given, or one put together from its parts.
fn full_name(
    method: &Method,
    param: &Param,
    full: &FullName,
    given: Option<&Value>,
    args: &Args,
) -> Result<Option<Filled>, Problem> {
    let text = |value: &Value| match value {
        Value::Str(text) => Some(text.to_string()),
        Value::Int(n) => Some(n.to_string()),
        later if later.is_later() => Some(later.to_string()),
        _ => None,
    };
    let whole = given.map(|value| {
        text(value).ok_or_else(|| {
            let message = format!("`{}` takes text, not {}", param.name, value.noun());
            Problem::param(&param.name, message)
        })
    });
    let whole = whole.transpose()?;
    let later = |value: Option<&Value>| value.is_some_and(Value::is_later);
    if let Some(name) = &whole
        && name.contains('/')
    {
        check_pattern(param, name)?;
        return Ok(Some(Filled {
            text: name.clone(),
            later: later(given),
        }));
    }
    let parts: BTreeMap<Arc<str>, String> = full
        .values()
        .filter_map(|name| Some((Arc::clone(name), text(args.get(name)?)?)))
        .collect();
    let any_later = later(given) || full.values().any(|name| later(args.get(name)));
    let composed = full
        .compose(&parts, whole.as_deref())
        .map_err(|lacking| missing(method, &lacking))?;
    if !any_later {
        check_pattern(param, &composed)?;
    }
    Ok(Some(Filled {
        text: composed,
        later: any_later,
    }))
}

fn check_pattern(param: &Param, text: &str) -> Result<(), Problem> {
    match &param.kind {
        Kind::String {
            pattern: Some(pattern),
            ..
        } if !scalar_matches(pattern, text) => {
            let message = format!(
                "`{}` does not take `{text}`: it must match `{pattern}`",
                param.name
            );
            Err(Problem::param(&param.name, message))
        }
        _ => Ok(()),
    }
}

/// Expands `{x}` and `{+x}`. Everything but unreserved characters is percent-encoded; `{+x}` keeps
/// its slashes.
fn fill(template: &str, values: &BTreeMap<&str, Filled>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        let (name, keeps_slashes) = match name.strip_prefix('+') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match values.get(name) {
            Some(value) if value.later => out.push_str(&value.text),
            Some(value) => encode(&value.text, keeps_slashes, &mut out),
            None => {}
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn encode(text: &str, keeps_slashes: bool, out: &mut String) {
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (keeps_slashes && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    fn args(pairs: &[(&str, Value)]) -> Args {
        pairs
            .iter()
            .map(|(name, value)| (Arc::from(*name), value.clone()))
            .collect()
    }

    fn line(method: &str, pairs: &[(&str, Value)]) -> Result<String, Vec<String>> {
        let catalog = Catalog::embedded();
        let method = catalog.method(method).expect("exists");
        build(&method, &args(pairs), None)
            .map(|r| r.line())
            .map_err(|problems| problems.into_iter().map(|p| p.message).collect())
    }

    #[test]
    fn paths_and_queries() {
        let s = Value::str;
        let vm = [
            ("project", s("p")),
            ("zone", s("us-central1-a")),
            ("instance", s("vm")),
            ("deviceName", s("boot")),
            ("autoDelete", Value::Bool(false)),
        ];
        assert_eq!(
            line("compute.instances.setDiskAutoDelete", &vm).as_deref(),
            Ok(
                "POST compute/v1/projects/p/zones/us-central1-a/instances/vm/setDiskAutoDelete\
                ?autoDelete=false&deviceName=boot"
            )
        );
        let service = [
            ("project", s("p")),
            ("location", s("europe-west1")),
            ("service", s("x")),
        ];
        assert_eq!(
            line("run.services.get", &service).as_deref(),
            Ok("GET v2/projects/p/locations/europe-west1/services/x")
        );
        let create = [
            ("project", s("p")),
            ("location", s("l")),
            ("serviceId", s("x")),
        ];
        assert_eq!(
            line("run.services.create", &create).as_deref(),
            Ok("POST v2/projects/p/locations/l/services?serviceId=x")
        );
        let object = [("bucket", s("b")), ("object", s("a/b c"))];
        assert_eq!(
            line("storage.objects.get", &object).as_deref(),
            Ok("GET storage/v1/b/b/o/a%2Fb%20c")
        );
        let whole = [("name", s("projects/p/locations/l/services/x"))];
        assert_eq!(
            line("run.services.get", &whole).as_deref(),
            Ok("GET v2/projects/p/locations/l/services/x")
        );
    }

    #[test]
    fn wrong_arguments() {
        let s = Value::str;
        let wrong = line(
            "compute.images.get",
            &[("project", s("p")), ("imag", s("x"))],
        );
        assert_eq!(
            wrong,
            Err(vec![
                "`compute.images.get` has no parameter `imag`; did you mean `image`?".to_owned(),
                "`compute.images.get` needs `image`; write `image: …`".to_owned(),
            ])
        );
        let url = [
            ("project", s("p")),
            (
                "zone",
                s("https://www.googleapis.com/compute/v1/projects/p/zones/a"),
            ),
            ("instance", s("x")),
        ];
        let message = line("compute.instances.get", &url).expect_err("a URL is no zone");
        assert!(
            message[0].ends_with("it wants the bare name, such as `basename(…)` gives"),
            "{message:?}"
        );
        let no_location = [("project", s("p")), ("service", s("x"))];
        assert_eq!(
            line("run.services.get", &no_location),
            Err(vec![
                "`run.projects.locations.services.get` needs `location`; write `location: …` or give it by \
                 `at { location }`"
                    .to_owned()
            ])
        );
    }

    #[test]
    fn later_values_are_shown() {
        let vm = [
            ("project", Value::str("p")),
            ("zone", Value::later("place")),
            ("instance", Value::str("vm")),
        ];
        assert_eq!(
            line("compute.instances.get", &vm).as_deref(),
            Ok("GET compute/v1/projects/p/zones/(after place)/instances/vm")
        );
    }
}
