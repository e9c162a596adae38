//! Events as JSON lines.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use serde_json::{Value as Json, json};

use crate::journal::Event;
use crate::report::head;
use crate::run::{Observer, TaskId};
use crate::store::Vault;
use crate::world::Timestamp;

/// Fields that are of no use to a reader: whole texts, and what ids are drawn from.
const LEFT_OUT: [&str; 3] = ["program", "nonce", "catalog"];

pub struct JsonLines {
    out: RefCell<Box<dyn Write + Send>>,
    vault: Rc<Vault>,
}

impl JsonLines {
    pub fn new(out: Box<dyn Write + Send>, vault: Rc<Vault>) -> Self {
        let lines = JsonLines {
            out: RefCell::new(out),
            vault,
        };
        lines.write(&head("run"));
        lines
    }

    fn write(&self, json: &Json) {
        let mut out = self.out.borrow_mut();
        let _ = writeln!(out, "{json}").and_then(|()| out.flush());
    }
}

impl Observer for JsonLines {
    fn began(&self, _: TaskId, address: &str, at: Timestamp) {
        let address = self.vault.mask(address);
        self.write(
            &json!({ "kind": "event", "at": at.rfc3339(), "event": "began", "address": address }),
        );
    }

    fn waits(&self, address: &str, for_what: Option<&str>, at: Timestamp) {
        let Some(what) = for_what else { return };
        let (address, what) = (self.vault.mask(address), self.vault.mask(what));
        self.write(&json!({
            "kind": "event", "at": at.rfc3339(), "event": "waits", "address": address, "for": what,
        }));
    }

    fn recorded(&self, event: &Event, at: Timestamp) {
        let mut line = json!({ "kind": "event", "at": at.rfc3339() });
        let fields = serde_json::to_value(event).unwrap_or_default();
        if let (Json::Object(line), Json::Object(fields)) =
            (&mut line, self.vault.mask_json(&fields))
        {
            let wanted = |key: &String| key != "at" && !LEFT_OUT.contains(&key.as_str());
            line.extend(fields.into_iter().filter(|(key, _)| wanted(key)));
        }
        self.write(&line);
    }
}
