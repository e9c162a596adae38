//! Mermaid, as GitHub and GitLab draw it in Markdown.

use std::fmt::Write;

use super::Drawing;
use super::shape::{Action, Kind, Shape};
use crate::plan::Edge;

const STYLES: &str = "  classDef checkpoint fill:#333,stroke:#333,color:#fff
  classDef growth stroke-dasharray:5 5
  classDef destructive stroke:#c00,stroke-width:2px
";

impl Drawing {
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        self.mermaid_inside(None, 1, &mut out);
        for line in self.drawn_lines() {
            let arrow = match line.why {
                Edge::Data => "-->",
                Edge::After | Edge::Part => "-.->",
                Edge::Barrier => "==>",
            };
            let _ = writeln!(out, "  n{} {arrow} n{}", line.from, line.to);
        }
        out.push_str(STYLES);
        out
    }

    fn mermaid_inside(&self, group: Option<usize>, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        for (n, shape) in self.shapes_in(group) {
            let _ = writeln!(out, "{indent}n{n}{}", node(shape));
        }
        for (n, inner) in self.groups_in(group) {
            let _ = writeln!(out, "{indent}subgraph g{n}[\"{}\"]", escape(&inner.title));
            self.mermaid_inside(Some(n), depth + 1, out);
            let _ = writeln!(out, "{indent}end");
        }
    }
}

fn node(shape: &Shape) -> String {
    let label = match shape.detail.is_empty() {
        true => escape(&shape.title),
        false => format!("{}<br/>{}", escape(&shape.title), escape(&shape.detail)),
    };
    let (open, close, class) = match shape.kind {
        Kind::Step(Action::Read | Action::Compute) => ("(", ")", ""),
        Kind::Step(Action::Wait | Action::Approve) => ("{{", "}}", ""),
        Kind::Step(Action::Ensure | Action::Call | Action::Http) => ("[", "]", ""),
        Kind::Assert => ("{", "}", ""),
        Kind::Checkpoint => ("([", "])", ":::checkpoint"),
        Kind::Growth => ("[", "]", ":::growth"),
    };
    let class = if shape.destructive {
        ":::destructive"
    } else {
        class
    };
    format!("{open}\"{label}\"{close}{class}")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '`' => out.push_str("#96;"),
            c => out.push(c),
        }
    }
    out
}
