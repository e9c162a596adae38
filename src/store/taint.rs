//! Values that are computed from secrets.

use super::vault::Vault;
use crate::eval::Taint;
use crate::value::Value;

impl Vault {
    /// Whether a secret stands in one of these values, however deep.
    pub fn holds_secret_in(&self, values: &[Value]) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut texts = Vec::new();
        values.iter().for_each(|value| leaves(value, &mut texts));
        texts.iter().any(|text| self.holds_secret(text))
    }
}

impl Taint for Vault {
    fn is_idle(&self) -> bool {
        self.is_empty()
    }

    fn shown(&self, secret: &str) {
        if !self.holds_secret(secret) {
            self.derive(secret);
        }
    }

    /// A text or number becomes a secret when one went in, and it does not stand in what went in
    /// beside the secrets: of `"user:s3cret"`, split at the colon, only the second part does.
    fn made(&self, from: &[Value], made: &Value) {
        if self.is_empty() {
            return;
        }
        let mut texts = Vec::new();
        from.iter().for_each(|value| leaves(value, &mut texts));
        if !texts.iter().any(|text| self.holds_secret(text)) {
            return;
        }
        let beside: Vec<String> = texts.iter().map(|text| self.mask(text)).collect();
        let mut results = Vec::new();
        leaves(made, &mut results);
        for text in results {
            let open = beside.iter().any(|beside| beside.contains(&text));
            if !open && !self.holds_secret(&text) {
                self.derive(&text);
            }
        }
    }
}

/// The texts and numbers of a value, keys included, as they stand in a record.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Str(text) => out.push(text.to_string()),
        Value::List(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::Map(fields) => {
            for (key, item) in fields.iter() {
                out.push(key.to_string());
                leaves(item, out);
            }
        }
        Value::Int(_)
        | Value::Float(_)
        | Value::Percent(_)
        | Value::Size(_)
        | Value::Duration(_) => out.push(value.to_json().to_string()),
        Value::Null | Value::Unset | Value::Later(_) | Value::Bool(_) => {}
    }
}
