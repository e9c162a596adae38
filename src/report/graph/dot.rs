//! The language of Graphviz.

use std::fmt::Write;

use super::Drawing;
use super::shape::{Action, Kind, Shape};
use crate::plan::Edge;

impl Drawing {
    pub fn dot(&self) -> String {
        let mut out = format!("digraph {} {{\n", quoted(&self.workflow));
        out.push_str("  compound=true;\n  node [fontname=\"sans-serif\", shape=box];\n");
        self.dot_inside(None, 1, &mut out);
        for line in self.drawn_lines() {
            let style = match line.why {
                Edge::Data => "",
                Edge::After => " [style=dashed]",
                Edge::Part => " [style=dotted]",
                Edge::Barrier => " [style=bold]",
            };
            let _ = writeln!(out, "  n{} -> n{}{style};", line.from, line.to);
        }
        out.push_str("}\n");
        out
    }

    fn dot_inside(&self, group: Option<usize>, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        for (n, shape) in self.shapes_in(group) {
            let _ = writeln!(out, "{indent}n{n} [{}];", attributes(shape));
        }
        for (n, inner) in self.groups_in(group) {
            let _ = writeln!(out, "{indent}subgraph cluster_{n} {{");
            let _ = writeln!(out, "{indent}  label={};", quoted(&inner.title));
            self.dot_inside(Some(n), depth + 1, out);
            let _ = writeln!(out, "{indent}}}");
        }
    }
}

fn attributes(shape: &Shape) -> String {
    let label = match shape.detail.is_empty() {
        true => shape.title.clone(),
        false => format!("{}\n{}", shape.title, shape.detail),
    };
    let look = match shape.kind {
        Kind::Step(Action::Read | Action::Compute) => ", style=rounded",
        Kind::Step(Action::Wait | Action::Approve) => ", shape=hexagon",
        Kind::Step(Action::Ensure | Action::Call | Action::Http) => "",
        Kind::Assert => ", shape=diamond",
        Kind::Checkpoint => {
            ", style=filled, fillcolor=\"#333333\", fontcolor=white, width=4, height=0.2"
        }
        Kind::Growth => ", style=dashed",
    };
    let color = if shape.destructive { ", color=red" } else { "" };
    format!("label={}{look}{color}", quoted(&label))
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
