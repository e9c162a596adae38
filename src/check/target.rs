//! What a step addresses: a method or a collection of the catalogue.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Checker;
use crate::catalog::{Collection, Method, NameKind};
use crate::diag::{Code, Diagnostic, nearest};
use crate::syntax::ast::Name;

/// What the words before the parentheses name.
#[derive(Clone, Debug)]
pub enum Target {
    Method(Arc<Method>),
    Collection(Arc<Collection>),
}

impl Checker<'_, '_> {
    /// Finds the target, or says which word is wrong.
    pub(super) fn target(&self, path: &[Name]) -> Result<Target, Box<Diagnostic>> {
        let text = joined(path);
        if path.is_empty() {
            let message = "a step has to say what it addresses";
            return Err(Box::new(Diagnostic::error(
                Code::UNKNOWN_TARGET,
                crate::source::Span::default(),
                message,
            )));
        }
        if path.len() > 2
            && let Some(method) = self.catalog.method(&text)
        {
            return Ok(Target::Method(method));
        }
        if let Some(collection) = self.catalog.collection(&text) {
            return Ok(Target::Collection(collection));
        }
        Err(Box::new(self.unknown_target(path, &text)))
    }

    fn unknown_target(&self, path: &[Name], text: &str) -> Diagnostic {
        let service = &path[0];
        if self.catalog.service(&service.text).is_none() {
            return self.unknown_service(service);
        }
        let last = &path[path.len() - 1];
        let owner = joined(&path[..path.len() - 1]);
        if let Some(collection) = self.catalog.collection(&owner) {
            return unknown_method(last, &owner, &collection);
        }
        self.unknown_collection(path, text)
    }

    fn unknown_service(&self, service: &Name) -> Diagnostic {
        let known: Vec<&str> = self.catalog.services().map(|s| &*s.name).collect();
        let finding = Diagnostic::error(
            Code::UNKNOWN_TARGET,
            service.span,
            format!("no service is called `{}`", service.text),
        );
        match nearest(&service.text, known.iter().copied()) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(service.span, near),
            None => finding.help(format!("the catalogue has {}", known.join(", "))),
        }
    }

    fn unknown_collection(&self, path: &[Name], text: &str) -> Diagnostic {
        let service = &path[0].text;
        let collections = self.catalog.collections(service);
        let mut prefix = service.to_string();
        let mut wrong = &path[path.len() - 1];
        let mut candidates: BTreeSet<&str> = BTreeSet::new();
        for name in &path[1..] {
            let start = format!("{prefix}.");
            candidates = collections
                .iter()
                .filter_map(|c| c.strip_prefix(&start))
                .filter_map(|rest| rest.split('.').next())
                .collect();
            if !candidates.contains(&*name.text) {
                wrong = name;
                break;
            }
            prefix = format!("{start}{}", name.text);
        }
        // Short forms: the last word of every longer path.
        let short: Vec<&str> = collections
            .iter()
            .filter_map(|c| c.rsplit('.').next())
            .collect();
        let finding = Diagnostic::error(
            Code::UNKNOWN_TARGET,
            wrong.span,
            format!("`{prefix}` has no collection `{}`", wrong.text),
        );
        let near = nearest(&wrong.text, candidates.iter().copied())
            .or_else(|| nearest(&wrong.text, short.iter().copied()));
        match near {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(wrong.span, near),
            None => match self.catalog.suggest(NameKind::Collection, text) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("`r5flow catalog {service}` lists what it has")),
            },
        }
    }
}

fn unknown_method(name: &Name, owner: &str, collection: &Collection) -> Diagnostic {
    let finding = Diagnostic::error(
        Code::UNKNOWN_TARGET,
        name.span,
        format!("`{owner}` has no method `{}`", name.text),
    );
    let known: Vec<&str> = collection.methods.iter().map(|m| &**m).collect();
    match nearest(&name.text, known.iter().copied()) {
        Some(near) => finding
            .help(format!("did you mean `{near}`?"))
            .fix(name.span, near),
        None => finding.help(format!("it has {}", known.join(", "))),
    }
}

/// The words with dots between them.
pub(super) fn joined(path: &[Name]) -> String {
    let words: Vec<&str> = path.iter().map(|n| &*n.text).collect();
    words.join(".")
}
