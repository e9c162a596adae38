//! What stands in the cloud where a flow writes a secret: an earlier value of it, most likely.

use super::shared::Shared;
use crate::catalog::compare::Difference;
use crate::value::Value;

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
}
