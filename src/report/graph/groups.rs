//! The iterations and the called workflows that shapes stand in.

use std::collections::BTreeMap;

use crate::check::names::BlockKind;
use crate::plan::{FrameId, Graph, ScopeId};

#[derive(Debug)]
pub struct Group {
    /// `region = us-central1`, or the step that runs a workflow.
    pub title: String,
    pub parent: Option<usize>,
}

pub struct Groups<'g, 'p> {
    graph: &'g Graph<'p>,
    /// The path of each frame that holds a node.
    frames: BTreeMap<FrameId, String>,
    known: BTreeMap<ScopeId, Option<usize>>,
    groups: Vec<Group>,
}

impl<'g, 'p> Groups<'g, 'p> {
    pub fn new(graph: &'g Graph<'p>) -> Self {
        let frames = graph
            .nodes()
            .map(|node| graph.scope(graph.node(node).scope).frame)
            .map(|frame| (frame, graph.frame(frame).path.to_string()))
            .collect();
        Groups {
            graph,
            frames,
            known: BTreeMap::new(),
            groups: Vec::new(),
        }
    }

    /// The innermost group of a scope.
    pub fn of(&mut self, id: ScopeId) -> Option<usize> {
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        let scope = self.graph.scope(id);
        let group = match (scope.parent, &scope.binding) {
            (Some(parent), Some(_)) => {
                let parent = self.of(parent);
                Some(self.add(self.iteration(id), parent))
            }
            (Some(parent), None) => self.of(parent),
            (None, _) => self.frame(scope.frame),
        };
        self.known.insert(id, group);
        group
    }

    pub fn finish(self) -> Vec<Group> {
        self.groups
    }

    fn add(&mut self, title: String, parent: Option<usize>) -> usize {
        self.groups.push(Group { title, parent });
        self.groups.len() - 1
    }

    fn iteration(&self, id: ScopeId) -> String {
        let scope = self.graph.scope(id);
        let key = scope.keys.last().map_or("", |k| &**k);
        match self.graph.flow_of(id).block(scope.block).kind {
            BlockKind::For(f) => format!("{} = {key}", f.first.text),
            _ => key.to_owned(),
        }
    }

    /// The outermost workflow is no group; a called one stands in the one that calls it.
    fn frame(&mut self, id: FrameId) -> Option<usize> {
        let path = self.frames.get(&id)?.clone();
        if path.is_empty() {
            return None;
        }
        let around = self
            .frames
            .iter()
            .filter(|(other, p)| **other != id && path.starts_with(p.as_str()))
            .max_by_key(|(_, p)| p.len())
            .map(|(other, p)| (*other, p.len()));
        let parent = around.and_then(|(other, _)| self.of(self.graph.frame(other).root));
        let title = path[around.map_or(0, |(_, n)| n)..]
            .trim_end_matches('/')
            .to_owned();
        Some(self.add(title, parent))
    }
}
