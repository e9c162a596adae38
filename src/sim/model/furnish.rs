//! What a project holds before anybody does anything: the scenario's resources.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::ask::Ask;
use super::super::generic;
use super::super::mint::Mint;
use super::super::world::World;

/// Puts the scenario's resources into a project.
pub fn furnish(world: &mut World, project: &str) {
    let number = world.project_number(project).to_string();
    world.projects.insert(number.clone(), project.to_string());
    let resources = world.scenario.resources.clone();
    // Every project is furnished as if at the start, whenever it is first mentioned.
    let seed = world.scenario.seed ^ world.project_number(project);
    let mint = std::mem::replace(&mut world.mint, Mint::new(seed));
    let now = std::mem::replace(&mut world.now, world.start);
    world.planting = true;
    for existing in resources {
        let filled = |text: &str| {
            text.replace("{project}", project)
                .replace("{number}", &number)
        };
        let Some(collection) = world.catalog.collection(&existing.collection) else {
            world
                .notes
                .push(format!("scenario: no collection `{}`", existing.collection));
            continue;
        };
        let Some(insert) = collection.insert.clone() else {
            world.notes.push(format!(
                "scenario: nothing can be inserted into `{}`",
                existing.collection
            ));
            continue;
        };
        let body: Json =
            serde_json::from_str(&filled(&existing.body.to_string())).unwrap_or_default();
        let mut params: BTreeMap<String, String> = existing
            .at
            .iter()
            .map(|(k, v)| (k.clone(), filled(v)))
            .collect();
        params.insert("project".into(), project.into());
        let rest = fill_path(&insert.path, &params, project);
        let ask = Ask {
            method: insert,
            collection: Some(std::sync::Arc::clone(&collection)),
            rest: super::super::ask::below_version(&rest),
            params,
            body: body.as_object().cloned().unwrap_or_default(),
            project: project.into(),
            request_id: None,
        };
        let id = existing.id.as_deref().map(filled);
        if let Err(refusal) = generic::plant(world, &ask, &collection, id) {
            world.notes.push(format!(
                "scenario: {}: {}",
                existing.collection, refusal.message
            ));
        }
    }
    world.planting = false;
    world.mint = mint;
    world.now = now;
}

/// A template with its values; a full name's parameter becomes the project.
fn fill_path(template: &str, params: &BTreeMap<String, String>, project: &str) -> String {
    template
        .split('/')
        .map(|part| match (part.find('{'), part.find('}')) {
            (Some(open), Some(close)) => {
                let name = &part[open + 1..close];
                match name.strip_prefix('+') {
                    Some(name) => params
                        .get(name)
                        .cloned()
                        .unwrap_or_else(|| format!("projects/{project}")),
                    None => params.get(name).cloned().unwrap_or_default(),
                }
            }
            _ => part.to_string(),
        })
        .collect::<Vec<_>>()
        .join("/")
}
