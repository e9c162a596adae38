//! Secrets that nobody gave: what answers show of them, and what stands in the cloud where a flow writes one.

use serde_json::Value as Json;

use super::shared::Shared;
use crate::catalog::compare::Difference;
use crate::catalog::rules::secrets;
use crate::value::Value;
use crate::wire::{Answer, Request};

/// What servers that are no Google API call a secret, and is shorter, is none.
const SHORTEST: usize = 8;

impl Shared<'_> {
    /// What was found in the place of a secret is one too, though nobody gave it: it is shown and
    /// recorded like one.
    pub fn conceal(&self, differences: &[Difference]) {
        let memo = self.memo.borrow();
        let Some(taint) = memo.taint.as_deref().filter(|taint| !taint.is_idle()) else {
            return;
        };
        for difference in differences {
            let wanted = Value::from_json(&difference.wanted);
            taint.made(&[wanted], &Value::from_json(&difference.found));
        }
    }

    /// A key, a token or a payload in an answer is a secret from here on.
    pub fn conceal_answer(&self, request: &Request, answer: &Answer) {
        let service = request.service();
        if !secrets::may_hold(service) {
            return;
        }
        let memo = self.memo.borrow();
        let (Some(taint), Ok(json)) = (memo.taint.as_deref(), serde_json::from_slice(&answer.body))
        else {
            return;
        };
        let mut found = Vec::new();
        shown(service, &json, &mut found);
        found.iter().for_each(|secret| taint.shown(secret));
    }
}

/// The texts of the fields that hold secrets.
fn shown<'j>(service: Option<&str>, json: &'j Json, out: &mut Vec<&'j str>) {
    match json {
        Json::Object(fields) => fields.iter().for_each(|(name, field)| match field {
            Json::String(text) if secrets::in_answers(service, name) => {
                let short = service.is_none() && text.len() < SHORTEST;
                out.extend((!short).then_some(text.as_str()));
            }
            other => shown(service, other, out),
        }),
        Json::Array(items) => items.iter().for_each(|item| shown(service, item, out)),
        _ => {}
    }
}
