//! The plan for machines.

use serde_json::{Value as Json, json};

use super::Plan;
use crate::report::{failure, head};
use crate::run::PlanItem;

impl Plan<'_> {
    /// A head, a line for each step, one for each step that fails already, a summary.
    pub fn json(&self) -> Vec<Json> {
        let mut first = head("plan");
        first["workflow"] = json!(self.workflow);
        first["world"] = json!(self.world);
        let mut lines = vec![first];
        for (n, wave) in self.waves().iter().enumerate() {
            lines.extend(wave.iter().map(|item| self.line(item, n + 1)));
        }
        for (address, failed) in &self.end.failures {
            lines.push(failure::json(address, failed, self.vault));
        }
        lines.push(self.last());
        lines
    }

    fn line(&self, item: &PlanItem, wave: usize) -> Json {
        let differences: Vec<Json> = item
            .differences
            .iter()
            .map(|d| json!({ "path": d.path, "found": d.found, "wanted": d.wanted }))
            .collect();
        self.vault.mask_json(&json!({
            "kind": "step",
            "address": item.address,
            "action": item.action.as_str(),
            "changes": item.action.changes(),
            "destructive": item.destroys(),
            "wave": wave,
            "request": item.request,
            "differences": differences,
            "notes": item.notes,
            "takes_ms": self.durations.get(&item.address).map(|d| d.0),
        }))
    }

    fn last(&self) -> Json {
        let counts: serde_json::Map<String, Json> = self
            .counts()
            .into_iter()
            .map(|(action, n)| (action.as_str().to_owned(), json!(n)))
            .collect();
        let path: Option<Vec<&str>> = self.estimate.map(|p| {
            p.nodes
                .iter()
                .map(|n| &*self.graph.node(*n).address)
                .collect()
        });
        self.vault.mask_json(&json!({
            "kind": "summary",
            "changes": self.changes(),
            "counts": counts,
            "lasts": self.lasting().iter().map(|i| &i.address).collect::<Vec<_>>(),
            "destroys": self.items.iter().filter(|i| i.destroys()).map(|i| &i.address).collect::<Vec<_>>(),
            "open_blocks": self.open_blocks(),
            "estimate_ms": self.estimate.map(|p| p.length.0),
            "critical_path": path,
        }))
    }
}
