//! The graph of a workflow as a drawing.
//!
//! Only what an author wrote is drawn: steps, assertions, checkpoints, and dashed boxes for the
//! blocks whose content only the run can tell. The graph's own nodes vanish into the edges.

mod dot;
mod edges;
mod groups;
mod json;
mod mermaid;
mod shape;

use crate::plan::{Edge, Graph, NodeId};
use groups::Group;
use shape::Shape;

/// What is drawn: shapes, what they wait for, and the groups they stand in.
#[derive(Debug)]
pub struct Drawing {
    workflow: String,
    shapes: Vec<Shape>,
    lines: Vec<Line>,
    groups: Vec<Group>,
}

/// `to` waits for `from`; both are positions among the shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    from: usize,
    to: usize,
    why: Edge,
    /// Other lines say the same, and no value flows: left out of pictures.
    redundant: bool,
}

impl Drawing {
    pub fn of(graph: &Graph<'_>) -> Drawing {
        let nodes: Vec<NodeId> = graph
            .nodes()
            .filter(|n| shape::is_drawn(graph, *n))
            .collect();
        let mut groups = groups::Groups::new(graph);
        let shapes: Vec<Shape> = nodes
            .iter()
            .map(|node| Shape::of(graph, *node, groups.of(graph.node(*node).scope)))
            .collect();
        Drawing {
            workflow: workflow(graph),
            lines: edges::lines(graph, &nodes),
            shapes,
            groups: groups.finish(),
        }
    }

    /// The lines of a picture.
    fn drawn_lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|l| !l.redundant)
    }

    /// Shapes that stand directly in a group, or in none.
    fn shapes_in(&self, group: Option<usize>) -> impl Iterator<Item = (usize, &Shape)> {
        self.shapes
            .iter()
            .enumerate()
            .filter(move |(_, s)| s.group == group)
    }

    fn groups_in(&self, group: Option<usize>) -> impl Iterator<Item = (usize, &Group)> {
        self.groups
            .iter()
            .enumerate()
            .filter(move |(_, g)| g.parent == group)
    }
}

fn workflow(graph: &Graph<'_>) -> String {
    graph.nodes().next().map_or_else(String::new, |_| {
        let outermost = graph.frame(crate::plan::FrameId(0));
        graph.names.flow(outermost.flow).name().to_owned()
    })
}
