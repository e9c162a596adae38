//! A stand-in for web servers that are no Google API: it keeps what it is sent.
//!
//! `PUT` keeps the body under its URL and `PATCH` merges it in. `POST` keeps it under the URL, and
//! under the URL with the body's `id` or `name` behind it. `DELETE` removes. `GET` and `HEAD` answer
//! 200 with what is kept, and 404 when nothing is. A Stream Manager of Red5 answers as the simulator's.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::sim::stream_manager::{Asked, StreamManager, answers_at};
use crate::wire::{Answer, Request, Verb};
use crate::world::Timestamp;

#[derive(Clone, Debug, Default)]
pub struct Site {
    kept: BTreeMap<String, Json>,
    stream_manager: StreamManager,
}

impl Site {
    pub fn kept(&self) -> impl Iterator<Item = (String, Json)> {
        let kept = self
            .kept
            .iter()
            .map(|(url, json)| (url.clone(), json.clone()));
        kept.chain(self.stream_manager.kept())
    }

    /// The answer, and whether anything changed.
    pub fn answer(&mut self, request: &Request, now: Timestamp) -> (Answer, bool) {
        let url = request.path.clone();
        let body = request.body.clone().unwrap_or(Json::Null);
        if answers_at(&url) {
            let asked = Asked {
                verb: request.verb,
                url: &url,
                query: &request.query,
                body: &body,
            };
            return self.stream_manager.answer(asked, now);
        }
        let (status, answer, changed) = match request.verb {
            Verb::Get | Verb::Head => match self.kept.get(&url) {
                Some(found) => (200, found.clone(), false),
                None => (404, Json::Null, false),
            },
            Verb::Put => {
                let changed = self.kept.get(&url) != Some(&body);
                (200, self.keep(url, body), changed)
            }
            Verb::Post => {
                if let Some(own) = own_name(&body) {
                    self.keep(format!("{}/{own}", url.trim_end_matches('/')), body.clone());
                }
                (200, self.keep(url, body), true)
            }
            Verb::Patch => {
                let mut whole = self.kept.get(&url).cloned().unwrap_or(Json::Null);
                merge(&mut whole, body);
                (200, self.keep(url, whole), true)
            }
            Verb::Delete => match self.kept.remove(&url) {
                Some(_) => (204, Json::Null, true),
                None => (404, Json::Null, false),
            },
        };
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("date".to_owned(), http_date(now)),
        ];
        let body = match (&answer, request.verb) {
            (Json::Null, _) | (_, Verb::Head) => Vec::new(),
            (json, _) => json.to_string().into_bytes(),
        };
        let answer = Answer {
            status,
            headers,
            body,
        };
        (answer, changed)
    }

    fn keep(&mut self, url: String, body: Json) -> Json {
        self.kept.insert(url, body.clone());
        body
    }
}

fn own_name(body: &Json) -> Option<String> {
    ["id", "name"]
        .iter()
        .find_map(|field| match body.get(field) {
            Some(Json::String(text)) => Some(text.clone()),
            Some(Json::Number(number)) => Some(number.to_string()),
            _ => None,
        })
}

fn merge(whole: &mut Json, part: Json) {
    match (whole, part) {
        (Json::Object(fields), Json::Object(part)) => fields.extend(part),
        (whole, part) => *whole = part,
    }
}

fn http_date(at: Timestamp) -> String {
    chrono::DateTime::<chrono::Utc>::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}
