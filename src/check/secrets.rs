//! The values that are secret, as the vault wants them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Checked;
use super::names::FlowId;
use crate::value::Value;

/// The secrets among the inputs of a workflow, as the vault wants them.
pub fn secrets_of(
    checked: &Checked<'_>,
    flow: FlowId,
    inputs: &BTreeMap<Arc<str>, Value>,
) -> Vec<(String, String)> {
    let mut secrets = Vec::new();
    for input in checked.names.flow(flow).inputs.iter().filter(|i| i.secret) {
        if let Some(value) = inputs.get(&input.name.text) {
            leaves(&input.name.text, value, &mut secrets);
        }
    }
    secrets
}

/// The texts in a value, each with its path.
fn leaves(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Str(text) if !text.is_empty() => out.push((name.to_owned(), text.to_string())),
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                leaves(&format!("{name}.{i}"), item, out);
            }
        }
        Value::Map(fields) => {
            for (key, item) in fields.iter() {
                leaves(&format!("{name}.{key}"), item, out);
            }
        }
        _ => {}
    }
}
