//! Permissions that this run gave and APIs that it enabled: they take a while to be in force, so a
//! refusal shortly afterwards is passing.

use std::cell::Cell;

use crate::journal::{CallResult, CallState, State};
use crate::wire::error::ErrorClass;
use crate::wire::policy::PROPAGATION;
use crate::world::Timestamp;

/// When the newest grant of each kind took effect.
#[derive(Debug, Default)]
pub struct Grants {
    permission: Cell<Option<Timestamp>>,
    api: Cell<Option<Timestamp>>,
}

impl Grants {
    /// What earlier processes of the run did. A call counts from its intent: its end is not later
    /// than an hour, and a refusal is asked again for a while only.
    pub fn of(past: &State) -> Grants {
        let grants = Grants::default();
        for step in past.order.iter().filter_map(|a| past.steps.get(a)) {
            for call in &step.calls {
                if let CallState::Closed {
                    intent,
                    result: CallResult::Ok { .. },
                } = call
                    && let Some(at) = step.finished.as_ref().map(|f| f.1).or(intent.server_time)
                {
                    grants.note(&intent.request.method, at);
                }
            }
        }
        grants
    }

    /// A call of this method took effect.
    pub fn note(&self, method: &str, at: Timestamp) {
        let cell = match kind(method) {
            Some(ErrorClass::Permission) => &self.permission,
            Some(_) => &self.api,
            None => return,
        };
        cell.set(cell.get().max(Some(at)));
    }

    /// Whether a refusal of this class may be due to a grant that is not in force yet.
    pub fn may_be_on_its_way(&self, class: ErrorClass, now: Timestamp) -> bool {
        // While an API is being enabled, the refusals are of both kinds.
        let newest = match class {
            ErrorClass::Permission => self.permission.get().max(self.api.get()),
            ErrorClass::ApiDisabled => self.api.get(),
            _ => None,
        };
        newest.is_some_and(|at| now.since(at) < PROPAGATION)
    }
}

/// Which refusals a call of this method may end.
fn kind(method: &str) -> Option<ErrorClass> {
    let (service, name) = (method.split('.').next()?, method.rsplit('.').next()?);
    match (service, name) {
        ("serviceusage", "enable" | "batchEnable") => Some(ErrorClass::ApiDisabled),
        (_, "setIamPolicy") => Some(ErrorClass::Permission),
        // A new role or account is unknown to the policies of other services for a while.
        ("iam", "create" | "patch" | "enable" | "undelete") => Some(ErrorClass::Permission),
        _ => None,
    }
}

/// Whether a call of this method may end refusals of a class. While an API is being enabled, its refusals
/// are of both kinds.
pub fn may_end(method: &str, refusals: ErrorClass) -> bool {
    match kind(method) {
        Some(ErrorClass::ApiDisabled) => {
            matches!(refusals, ErrorClass::ApiDisabled | ErrorClass::Permission)
        }
        ends => ends == Some(refusals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Millis;

    #[test]
    fn a_grant_counts_for_ten_minutes_and_for_its_kind() {
        let grants = Grants::default();
        let start = Timestamp(1_000_000);
        grants.note("compute.images.insert", start);
        assert!(!grants.may_be_on_its_way(ErrorClass::Permission, start));
        grants.note("cloudresourcemanager.projects.setIamPolicy", start);
        assert!(grants.may_be_on_its_way(ErrorClass::Permission, start.plus(Millis::mins(9))));
        assert!(!grants.may_be_on_its_way(ErrorClass::Permission, start.plus(Millis::mins(10))));
        assert!(!grants.may_be_on_its_way(ErrorClass::ApiDisabled, start));
        assert!(!grants.may_be_on_its_way(ErrorClass::Quota, start));
        grants.note("serviceusage.services.enable", start.plus(Millis::mins(20)));
        for class in [ErrorClass::ApiDisabled, ErrorClass::Permission] {
            assert!(grants.may_be_on_its_way(class, start.plus(Millis::mins(29))));
        }
    }
}
