//! Every method of every API in a flow: right, it checks; with one misspelt field of its body, the
//! checker finds that one mistake and names the right field.

use std::sync::Arc;

use r5flow::catalog::{Catalog, Field, Kind, Method, Schema};
use r5flow::check::check;
use r5flow::diag::{Code, Diagnostic, Severity};
use r5flow::package::Program;

use crate::rig;

/// Methods whose name is no word of the language: a name has no hyphens.
const NAMELESS: [&str; 1] =
    ["container.projects.locations.clusters.well-known.getOpenid-configuration"];

/// How many methods stand in one flow.
const BATCH: usize = 150;

const HEAD: &str =
    "workflow main {\n  input text: string\n  input number: int\n  input yes: bool\n";

fn methods(catalog: &Catalog) -> Vec<Arc<Method>> {
    let services: Vec<_> = catalog.services().collect();
    let all = services.iter().flat_map(|s| catalog.methods(&s.name));
    let word = |id: &str| {
        id.chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
    };
    all.inspect(|id| {
        assert_eq!(
            id.contains('-') || !word(id),
            NAMELESS.contains(&&**id),
            "{id}"
        )
    })
    .filter(|id| !NAMELESS.contains(&&**id))
    .filter_map(|id| catalog.method(&id))
    .collect()
}

/// A value of a kind that no constant makes wrong.
fn value_of(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::String { values, .. } => match values.first() {
            Some(first) => format!("{:?}", &*first.name),
            None => "text".into(),
        },
        Kind::Int { .. } => "number".into(),
        Kind::Bool => "yes".into(),
        _ => return None,
    })
}

fn args(method: &Method) -> String {
    let args: Vec<String> = method
        .params
        .iter()
        .filter(|p| p.required)
        .map(|p| {
            let value = value_of(&p.kind).unwrap_or_else(|| panic!("{}: {}", method.id, p.name));
            match p.repeated {
                true => format!("{}: [{value}]", p.name),
                false => format!("{}: {value}", p.name),
            }
        })
        .collect();
    args.join(", ")
}

/// The fields without which the API refuses the body, but one.
fn needed(method: &Method, schema: &Schema, but: &str) -> Vec<String> {
    let needs = |field: &&Field| field.required_for.contains(&method.id);
    let fields = schema
        .fields
        .iter()
        .filter(|(name, field)| needs(field) && &***name != but);
    fields
        .map(|(name, field)| match (&field.kind, value_of(&field.kind)) {
            (_, Some(value)) => format!("{name}: {value}"),
            (Kind::List(_), None) => format!("{name}: []"),
            (_, None) => format!("{name}: {{}}"),
        })
        .collect()
}

fn line(n: usize, method: &Method, body: &str) -> String {
    let verb = if method.reads { "read" } else { "call" };
    let word = match method.settle.settles_itself() {
        true => "",
        false => " on doubt ask",
    };
    format!(
        "  step s{n} = {verb} {}({}){body}{word}\n",
        method.id,
        args(method)
    )
}

/// Fields that a flow can write with a plain value.
fn writable(schema: &Schema) -> impl Iterator<Item = (&Arc<str>, &Field, String)> {
    schema.fields.iter().filter_map(|(name, field)| {
        let plain = !field.output_only && !field.deprecated && field.unit.is_none();
        let value = value_of(&field.kind).filter(|_| plain)?;
        Some((name, field, value))
    })
}

/// The name with two letters in the middle exchanged, when that is certainly a mistake and the name
/// the nearest one.
fn misspelt(schema: &Schema, name: &str) -> Option<String> {
    let mut letters: Vec<char> = name.chars().collect();
    let at = letters.len() / 2;
    if letters.len() < 5 || letters[at] == letters[at - 1] {
        return None;
    }
    letters.swap(at, at - 1);
    let wrong: String = letters.into_iter().collect();
    let alone = schema
        .fields
        .keys()
        .filter(|other| &***other != name)
        .all(|other| strsim::damerau_levenshtein(other, &wrong) > 3);
    alone.then_some(wrong)
}

fn findings(catalog: &Catalog, text: &str) -> (Program, Vec<Diagnostic>) {
    let program = rig::program(text);
    let found = check(&program, catalog).diagnostics;
    (program, found)
}

#[test]
fn every_method_checks_with_its_parameters_and_a_field() {
    let catalog = Catalog::embedded();
    let all = methods(&catalog);
    assert!(all.len() > 2000, "{}", all.len());
    let mut wrong = Vec::new();
    for batch in all.chunks(BATCH) {
        let mut text = HEAD.to_owned();
        for (n, method) in batch.iter().enumerate() {
            let schema = method.request.as_ref().and_then(|id| catalog.schema(id));
            let field = schema
                .as_ref()
                .and_then(|s| writable(s).next().map(|f| (f.0.to_string(), f.2)));
            let body = schema.as_ref().map(|schema| {
                let (name, value) = field.unwrap_or_default();
                let mut fields = needed(method, schema, &name);
                fields.extend((!name.is_empty()).then(|| format!("{name}: {value}")));
                format!(" {{ {} }}", fields.join(", "))
            });
            let body = body.unwrap_or_default();
            text.push_str(&line(n, method, &body));
        }
        text.push_str("}\n");
        let (program, found) = findings(&catalog, &text);
        wrong.extend(
            found
                .iter()
                .filter(|d| d.severity == Severity::Error)
                .map(|d| {
                    let (at, _) = program.root().source.line_column(d.span.start);
                    format!(
                        "{} {}: {}",
                        d.code,
                        d.message,
                        text.lines().nth(at - 1).unwrap_or("")
                    )
                }),
        );
    }
    let shown: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} findings: {shown:#?}", wrong.len());
}

#[test]
fn every_misspelt_field_is_one_finding_with_the_right_name() {
    let catalog = Catalog::embedded();
    let mut cases = Vec::new();
    for method in methods(&catalog) {
        let Some(schema) = method.request.as_ref().and_then(|id| catalog.schema(id)) else {
            continue;
        };
        let candidate = writable(&schema)
            .find_map(|(name, _, value)| Some((misspelt(&schema, name)?, name.clone(), value)));
        if let Some((wrong, right, value)) = candidate {
            // Left out, the right field would be missing as well: that is another mistake.
            let needed = needed(&method, &schema, "");
            let needed: String = needed.iter().map(|f| format!("{f}, ")).collect();
            if !needed.contains(&format!("{right}: ")) {
                cases.push((method, needed, wrong, right, value));
            }
        }
    }
    assert!(cases.len() > 600, "{}", cases.len());
    let mut bad = Vec::new();
    for batch in cases.chunks(BATCH) {
        let mut text = HEAD.to_owned();
        let first = text.lines().count();
        for (n, (method, needed, wrong, _, value)) in batch.iter().enumerate() {
            text.push_str(&line(
                n,
                method,
                &format!(" {{ {needed}{wrong}: {value} }}"),
            ));
        }
        text.push_str("}\n");
        let (program, found) = findings(&catalog, &text);
        for (n, (method, _, wrong, right, _)) in batch.iter().enumerate() {
            let here: Vec<&Diagnostic> = found
                .iter()
                .filter(|d| d.severity == Severity::Error)
                .filter(|d| program.root().source.line_column(d.span.start).0 == first + n + 1)
                .collect();
            let named = |d: &Diagnostic| {
                let help = d.help.as_deref().unwrap_or("");
                d.code == Code::UNKNOWN_BODY_FIELD && help.contains(&format!("`{right}`"))
            };
            if !matches!(here.as_slice(), [one] if named(one)) {
                let list: Vec<String> = here
                    .iter()
                    .map(|d| format!("{} {} ({:?})", d.code, d.message, d.help))
                    .collect();
                bad.push(format!("{} {wrong} for {right}: {list:?}", method.id));
            }
        }
    }
    let shown: Vec<&String> = bad.iter().take(20).collect();
    assert!(
        bad.is_empty(),
        "{} of {}: {shown:#?}",
        bad.len(),
        cases.len()
    );
}
