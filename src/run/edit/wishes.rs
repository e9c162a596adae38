//! What a person wants besides what the edit says.

use std::collections::BTreeSet;

use crate::journal::{Address, State};

/// What a person wants besides the edit.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Everything behind this checkpoint is done again.
    pub from: Option<String>,
    pub redo: BTreeSet<String>,
    /// The record of these counts, whatever the flow says now.
    pub keep: BTreeSet<String>,
    /// These are dropped, whatever may still be open of them.
    pub forget: BTreeSet<String>,
    /// Old and new addresses of the flow's `moved` items.
    pub moved: Vec<(String, String)>,
}

/// A wish that names nothing.
#[derive(Debug, PartialEq)]
pub struct Unknown(pub String);

impl Wishes {
    /// Names of loops and sub-workflows mean all that is recorded below them.
    pub(super) fn resolve(&mut self, past: &State) -> Result<(), Unknown> {
        for names in [&mut self.redo, &mut self.forget] {
            let mut all = BTreeSet::new();
            for name in names.iter() {
                let below = |a: &&Address| is_below(a, name);
                let found: Vec<String> = past
                    .order
                    .iter()
                    .filter(below)
                    .map(|a| a.to_string())
                    .collect();
                if found.is_empty() {
                    return Err(Unknown(format!(
                        "nothing of `{name}` is recorded; `r5flow runs` lists the steps"
                    )));
                }
                all.extend(found);
            }
            *names = all;
        }
        Ok(())
    }

    pub(super) fn keeps(&self, address: &str) -> bool {
        self.keep.iter().any(|name| is_below(address, name))
    }
}

/// Whether an address is a step's own, one of its iterations, or below it.
pub fn is_below(address: &str, name: &str) -> bool {
    address
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '/']))
}
