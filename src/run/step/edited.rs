//! What an `ensure` must know of an edit besides what its resource shows.

use std::cell::{Cell, RefCell};

use serde_json::Value as Json;

use super::super::edit::unlike;
use super::cx::Cx;
use super::{Result, clauses, meaning};
use crate::syntax::ast::{Decision, OnOutcome, Step};
use crate::value::Value;

/// What comparing with the resource cannot show of an edit.
pub struct Edit {
    /// What the step wrote before it, while nothing is written since.
    pub written: RefCell<Option<Json>>,
    /// Something that the resource is made of was made anew under the same name.
    pub remade: Cell<bool>,
}

impl Edit {
    pub async fn of<'p>(cx: &Cx<'p>, step: &'p Step) -> Result<Edit> {
        let meant = {
            let past = cx.past();
            let began_now = past.current_calls().is_empty();
            past.meant.clone().filter(|_| began_now)
        };
        let mut edit = Edit {
            written: RefCell::new(None),
            remade: false.into(),
        };
        let Some(meant) = meant.filter(|_| !cx.planning()) else {
            return Ok(edit);
        };
        let now = meaning::meaning(cx, step, &Value::Null).await;
        cx.mean_it();
        let replaces = clauses::decision(step, OnOutcome::Change) == Some(Decision::Replace);
        if let Ok(now) = now {
            let remade = !unlike(&cx.shared.catalog, &meant, &now).remade.is_empty();
            edit.remade = (remade && replaces).into();
            edit.written = RefCell::new((meant.target == now.target).then_some(meant.body));
        }
        Ok(edit)
    }

    pub fn is_written(&self) {
        self.written.replace(None);
        self.remade.set(false);
    }
}
