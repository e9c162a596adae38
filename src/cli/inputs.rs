//! The values of inputs: from flags, the environment, files, and a person.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value as Json;

use super::args::Inputs;
use super::document::Document;
use super::failure::Failure;
use super::settings::Settings;
use super::terminal;
use crate::check::names::FlowId;
use crate::check::{Checked, Given, InputProblem};
use crate::source::SourceMap;
use crate::syntax::ast::Input;

type Values = BTreeMap<String, Given>;

/// Everything that is given for a workflow. A flag wins over the environment, the environment over
/// a file, a later file over an earlier one.
///
/// # Errors
/// A file that cannot be read, a flag without `=`, a secret on the command line.
pub fn gather(
    checked: &Checked<'_>,
    flow: FlowId,
    args: &Inputs,
    settings: &Settings,
) -> Result<Values, Failure> {
    let mut values = Values::new();
    for file in &args.inputs {
        values.extend(from_file(file)?);
    }
    for input in &checked.names.flow(flow).inputs {
        if let Some((variable, text)) = settings.environment.input(&input.name.text) {
            let given = Given::Text {
                text: text.to_owned(),
                origin: variable,
            };
            values.insert(input.name.text.to_string(), given);
        }
    }
    let mut said = BTreeSet::new();
    for flag in &args.input {
        let Some((name, text)) = flag.split_once('=') else {
            return Err(Failure::usage(format!("`--input {flag}` has no value"))
                .help("write `--input NAME=VALUE`"));
        };
        refuse_secret(checked, flow, name)?;
        if !said.insert(name) {
            return Err(
                Failure::usage(format!("`--input {name}=…` stands there twice"))
                    .help("say each input once"),
            );
        }
        let given = Given::Text {
            text: text.to_owned(),
            origin: "--input".into(),
        };
        values.insert(name.to_owned(), given);
    }
    Ok(values)
}

/// Asks for the secrets that are still missing, where there is somebody to ask.
pub fn ask_for_secrets(
    checked: &Checked<'_>,
    flow: FlowId,
    values: &mut Values,
    settings: &Settings,
) {
    for input in &checked.names.flow(flow).inputs {
        let name = &*input.name.text;
        let missing = input.default.is_none() && !values.contains_key(name);
        if missing
            && is_secret(checked, flow, input)
            && let Some(text) = settings.terminal.ask_secret(&format!("{name} (secret): "))
        {
            let origin = "the prompt".to_owned();
            values.insert(name.to_owned(), Given::Text { text, origin });
        }
    }
}

/// The secrets of a recorded run, given again; its other inputs are in the journal.
///
/// # Errors
/// As for [`gather`], and an input that the journal holds already.
pub fn gather_again(
    secrets: &[String],
    args: &Inputs,
    settings: &Settings,
) -> Result<Values, Failure> {
    let mut values = Values::new();
    if let Some(flag) = args.input.first() {
        let name = flag.split('=').next().unwrap_or_default();
        return Err(match secrets.iter().any(|s| s == name) {
            true => on_the_command_line(name),
            false => {
                Failure::usage("the inputs are recorded already; `--input` cannot change them")
                    .help("secrets are given again by variables, in a file, or at the prompt")
            }
        });
    }
    for file in &args.inputs {
        values.extend(from_file(file)?);
    }
    for name in secrets {
        if let Some((variable, text)) = settings.environment.input(name) {
            let text = text.to_owned();
            values.insert(
                name.clone(),
                Given::Text {
                    text,
                    origin: variable,
                },
            );
        } else if !values.contains_key(name)
            && let Some(text) = settings.terminal.ask_secret(&format!("{name} (secret): "))
        {
            let origin = "the prompt".to_owned();
            values.insert(name.clone(), Given::Text { text, origin });
        }
    }
    Ok(values)
}

fn on_the_command_line(name: &str) -> Failure {
    Failure::usage(format!(
        "the input `{name}` is a secret, and a command line is no place for one"
    ))
    .help(format!(
        "give it by the variable R5FLOW_INPUT_{}, in a file with `--inputs`, or at the prompt",
        name.to_uppercase()
    ))
}

fn is_secret(checked: &Checked<'_>, flow: FlowId, input: &Input) -> bool {
    let ty = checked
        .inputs
        .get(&flow)
        .and_then(|types| types.get(&input.name.text));
    input.secret || ty.is_some_and(|ty| ty.holds_secret())
}

/// What stands on a command line can be read by everybody on the machine, and stays in the shell's
/// history.
fn refuse_secret(checked: &Checked<'_>, flow: FlowId, name: &str) -> Result<(), Failure> {
    let inputs = &checked.names.flow(flow).inputs;
    match inputs.iter().find(|i| &*i.name.text == name) {
        Some(input) if is_secret(checked, flow, input) => Err(on_the_command_line(name)),
        _ => Ok(()),
    }
}

fn from_file(path: &Path) -> Result<Values, Failure> {
    let name = path.display().to_string();
    let fail =
        |why: String| Failure::usage(format!("the inputs in `{name}` cannot be used: {why}"));
    let (text, ending) = match name.as_str() {
        "-" => (terminal::stdin_text()?, "yaml".to_owned()),
        _ => {
            let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
            let ending = path.extension().unwrap_or_default();
            (text, ending.to_string_lossy().to_lowercase())
        }
    };
    let values: Json = match ending.as_str() {
        "toml" => text
            .parse::<toml::Table>()
            .map(|table| from_toml(toml::Value::Table(table)))
            .map_err(|e| fail(toml_fault(&text, &e)))?,
        "json" => serde_json::from_str(&text)
            .map(|Document(json)| json)
            .map_err(|e| fail(e.to_string()))?,
        // JSON is YAML too, so standard input may hold either.
        "yaml" | "yml" => serde_yaml_ng::from_str(&text)
            .map(|Document(json)| json)
            .map_err(|e| fail(e.to_string()))?,
        _ => {
            let why = "its name must end in .toml, .json, .yaml or .yml";
            return Err(fail(why.into()));
        }
    };
    let Json::Object(fields) = values else {
        return Err(fail("expected names with values".into()));
    };
    Ok(fields
        .into_iter()
        .map(|(key, value)| {
            let origin = name.clone();
            (key, Given::Json { value, origin })
        })
        .collect())
}

/// What is wrong and where; the parser's own words would show the line, which may hold a secret.
fn toml_fault(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message.to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{message} at line {line} column {column}")
}

/// Dates become their text.
fn from_toml(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(n) => Json::Number(n.into()),
        toml::Value::Float(n) => serde_json::Number::from_f64(n).map_or(Json::Null, Json::Number),
        toml::Value::Boolean(b) => Json::Bool(b),
        toml::Value::Datetime(at) => Json::String(at.to_string()),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(fields) => fields
            .into_iter()
            .map(|(k, v)| (k, from_toml(v)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// What is wrong with the inputs, all of it at once.
pub fn refusal(problems: &[InputProblem], map: &SourceMap) -> Failure {
    let mut text = match problems {
        [_] => String::new(),
        _ => format!("{} inputs cannot be used", problems.len()),
    };
    for problem in problems {
        if problems.len() > 1 {
            text.push_str("\n  ");
        }
        text.push_str(&format!("{}: {}", problem.code, problem.message));
        if !problem.origin.is_empty() {
            text.push_str(&format!(" (from {})", problem.origin));
        }
        if let Some(span) = problem.declared {
            text.push_str(&format!("; declared at {}", map.place(span)));
        }
        if let (true, Some(help)) = (problems.len() > 1, &problem.help) {
            text.push_str(&format!("\n    {help}"));
        }
    }
    let failure = Failure::usage(text);
    match problems {
        [only] => Failure {
            help: only.help.clone(),
            ..failure
        },
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_file_gives_the_same_values() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("a file");
            from_file(&path)
        };
        let toml = write(
            "a.toml",
            "n = 1\nat = 2026-11-23T15:32:15Z\n[g.x]\nmin = 2\n",
        );
        let json = write(
            "a.json",
            r#"{"n": 1, "at": "2026-11-23T15:32:15Z", "g": {"x": {"min": 2}}}"#,
        );
        let yaml = write(
            "a.yml",
            "n: 1\nat: '2026-11-23T15:32:15Z'\ng:\n  x: {min: 2}\n",
        );
        let plain = |values: Result<Values, Failure>| -> Vec<(String, Json)> {
            values
                .expect("good values")
                .into_iter()
                .map(|(name, given)| match given {
                    Given::Json { value, .. } => (name, value),
                    Given::Text { text, .. } => (name, Json::String(text)),
                })
                .collect()
        };
        let toml = plain(toml);
        assert_eq!(toml, plain(json));
        assert_eq!(toml, plain(yaml));
        assert_eq!(toml[1].1, serde_json::json!({ "x": { "min": 2 } }));
        let wrong = write("a.ini", "n=1").expect_err("no such kind");
        assert!(wrong.message.contains(".toml, .json, .yaml or .yml"));
        assert!(
            write("b.json", "[1]")
                .expect_err("no names")
                .message
                .contains("names with values")
        );
    }
}
