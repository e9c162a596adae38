//! Plans kept in a file: what somebody approved, and whether it still holds.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::load::secret_names;
use super::plan::Planner;
use super::recorded::{plain, tagged};
use super::{PlanView, SessionError};
use crate::check::Given;
use crate::journal::World;
use crate::package::{self, Program};
use crate::run::PlanItem;
use crate::store::Vault;
use crate::syntax::{ast, same_meaning};
use crate::world::Timestamp;

/// The version of the file's form.
const FORMAT: u32 = 1;
/// So many differences tell enough.
const SHOWN: usize = 5;

/// A plan in a file. It holds no secret: those are given again when it is run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedPlan {
    r5flow_plan: u32,
    /// The version of r5flow that made it.
    version: String,
    /// What `run.started` was taken for.
    pub made: Timestamp,
    pub by: String,
    pub file: String,
    pub workflow: String,
    /// Every text of the program by its path.
    program: BTreeMap<String, String>,
    inputs: BTreeMap<String, Json>,
    /// The inputs that are secrets.
    pub secrets: Vec<String>,
    pub environment: String,
    pub world: World,
    steps: BTreeMap<String, Step>,
}

/// What the plan says of one step, secrets masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    action: String,
    #[serde(default, skip_serializing_if = "Json::is_null")]
    request: Json,
    #[serde(default, skip_serializing_if = "Json::is_null")]
    differences: Json,
}

impl SavedPlan {
    /// # Errors
    /// A secret stands where the plan would keep it as it is: in a text of the flow, or in an input
    /// that is none.
    pub(super) fn of(
        planner: &Planner<'_, '_>,
        view: &PlanView<'_>,
    ) -> Result<SavedPlan, SessionError> {
        let (secrets, _) = secret_names(planner.checked, planner.flow);
        let saved = SavedPlan {
            r5flow_plan: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            made: view.made,
            by: planner.options.by.clone(),
            file: planner.program.root().path.clone(),
            workflow: view.workflow.to_owned(),
            program: planner.program.texts(),
            inputs: planner
                .inputs
                .iter()
                .filter(|(name, _)| !secrets.iter().any(|s| **s == ***name))
                .map(|(name, value)| (name.to_string(), tagged(value)))
                .collect(),
            secrets,
            environment: planner.options.environment.clone(),
            world: view.world.clone(),
            steps: steps(view),
        };
        let held = json!([saved.program, saved.inputs]).to_string();
        match view.mask.names_in(&held).first() {
            None => Ok(saved),
            Some(name) => Err(SessionError::Usage(format!(
                "the value of the secret `{name}` stands in the flow, or in an input that is no secret, and a plan \
                 in a file holds none; make that input a `secret input` too"
            ))),
        }
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), SessionError> {
        let unwritten = |why: String| SessionError::Unwritten {
            file: file.display().to_string(),
            why,
        };
        let text = serde_json::to_string_pretty(self).map_err(|e| unwritten(e.to_string()))?;
        std::fs::write(file, text + "\n").map_err(|e| unwritten(e.to_string()))
    }

    /// The plan that a file holds; `None` when it holds something else, such as a flow.
    ///
    /// # Errors
    /// It begins as a plan does and is none, or is one of a newer r5flow.
    pub fn in_text(text: &str) -> Option<Result<SavedPlan, SessionError>> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        let broken = |why: String| SessionError::Usage(format!("this is no saved plan: {why}"));
        let json: Json = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(why) => return Some(Err(broken(why.to_string()))),
        };
        Some(match json.get("r5flow_plan").and_then(Json::as_u64) {
            None => Err(broken("it has no `r5flow_plan`".into())),
            Some(format) if format != u64::from(FORMAT) => Err(broken(format!(
                "its form is {format}, and this r5flow knows {FORMAT}; make the plan again"
            ))),
            Some(_) => serde_json::from_value(json).map_err(|why| broken(why.to_string())),
        })
    }

    /// The inputs of the plan, as a file would give them.
    pub fn given(&self) -> BTreeMap<String, Given> {
        let given = |json: &Json| Given::Json {
            value: plain(json),
            origin: "the saved plan".into(),
        };
        self.inputs
            .iter()
            .map(|(name, json)| (name.clone(), given(json)))
            .collect()
    }

    /// The flow must still mean what it meant; comments and layout may change.
    pub(super) fn same_flow(&self, now: &Program) -> Result<(), SessionError> {
        let (then, _) = package::load(&self.file, &self.program)
            .map_err(|why| SessionError::Usage(format!("this saved plan is broken: {why}")))?;
        match moved_text(&then, now) {
            None => Ok(()),
            Some(path) => Err(SessionError::Decision(format!(
                "`{path}` changed after this plan was made; look at `r5flow plan` again"
            ))),
        }
    }

    /// The plan must still say the same of every step; when it was kept, none failed.
    pub(super) fn holds(&self, view: &PlanView<'_>) -> Result<(), SessionError> {
        if let Some((address, failure)) = view.end.failures.first() {
            let told = format!("`{address}` fails now: {}", failure.message);
            return Err(moved(&view.mask.mask(&told)));
        }
        let now = steps(view);
        let differing: Vec<String> = self
            .steps
            .keys()
            .chain(now.keys().filter(|k| !self.steps.contains_key(*k)))
            .filter_map(|address| {
                let told = how_it_moved(self.steps.get(address), now.get(address))?;
                Some(format!("`{address}` {told}"))
            })
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let more = differing.len().saturating_sub(SHOWN);
        let mut told = differing[..differing.len() - more].join("; ");
        if more > 0 {
            told.push_str(&format!("; and {more} more"));
        }
        Err(moved(&told))
    }
}

fn moved(told: &str) -> SessionError {
    SessionError::Decision(format!(
        "the world moved after this plan was made: {told}. Look at `r5flow plan` again"
    ))
}

fn steps(view: &PlanView<'_>) -> BTreeMap<String, Step> {
    let entry = |item: &PlanItem| (view.mask.mask(&item.address), step(item, &view.mask));
    view.items.iter().map(entry).collect()
}

fn step(item: &PlanItem, mask: &Vault) -> Step {
    let differences: Json = item
        .differences
        .iter()
        .map(|d| json!({ "path": d.path, "found": d.found, "wanted": d.wanted }))
        .collect();
    Step {
        action: item.action.as_str().to_owned(),
        request: mask.mask_json(&json!(item.request)),
        differences: mask.mask_json(&differences),
    }
}

fn how_it_moved(then: Option<&Step>, now: Option<&Step>) -> Option<String> {
    match (then, now) {
        (Some(then), Some(now)) if then == now => None,
        (Some(then), Some(now)) if then.action != now.action => Some(format!(
            "was to {}, and is now to {}",
            then.action, now.action
        )),
        (Some(then), Some(now)) if then.request != now.request => {
            Some(format!("would {} with another request", now.action))
        }
        (Some(_), Some(_)) => Some("finds other differences".into()),
        (Some(_), None) => Some("is no longer in the plan".into()),
        (None, _) => Some("is new in the plan".into()),
    }
}

/// A file without its tests, which no run looks at.
fn untested(file: &ast::File) -> ast::File {
    let items = file.items.iter();
    let items = items.filter(|item| !matches!(item, ast::Item::Test(_)));
    ast::File {
        items: items.cloned().collect(),
        ..*file
    }
}

/// The first text whose meaning is not the one it was.
fn moved_text(then: &Program, now: &Program) -> Option<String> {
    for module in &then.modules {
        let same = now
            .modules
            .iter()
            .find(|m| m.path == module.path)
            .is_some_and(|m| same_meaning(&untested(&m.file), &untested(&module.file)));
        if !same {
            return Some(module.path.clone());
        }
    }
    let hook = then.hook_files.iter().find(|(path, source)| {
        now.hook_files
            .get(*path)
            .is_none_or(|s| s.text != source.text)
    });
    hook.map(|(path, _)| path.clone())
}
