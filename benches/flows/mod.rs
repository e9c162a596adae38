//! Flows of any size: steps that do nothing but give back what they are given.

use std::fmt::Write;

/// How the steps of a generated flow depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// On nothing.
    Wide,
    /// Each on the one before.
    Chain,
    /// Each on three of the layer above.
    Layered,
}

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::Wide, Shape::Chain, Shape::Layered];

    pub fn name(self) -> &'static str {
        match self {
            Shape::Wide => "wide",
            Shape::Chain => "chain",
            Shape::Layered => "layered",
        }
    }
}

/// Steps in one layer.
const LAYER: usize = 100;

/// The text of a flow with `steps` steps, about 120 bytes each.
pub fn flow(shape: Shape, steps: usize) -> String {
    let mut text = String::from(
        "hook same(value: any, second: any, third: any, note: string) -> any = \"\"\"rhai\nvalue\n\"\"\"\n\n",
    );
    let _ = writeln!(text, "workflow {} {{", shape.name());
    for step in 0..steps {
        let [a, b, c] = arguments(shape, step);
        let _ = writeln!(
            text,
            "  step s{step:05} = hook same({a}, {b}, {c}, \"step {step:05} of {steps:05}: it gives back its first argument\")",
        );
    }
    let _ = writeln!(text, "  output last = s{:05}\n}}", steps.saturating_sub(1));
    text
}

fn arguments(shape: Shape, step: usize) -> [String; 3] {
    let name = |step: usize| format!("s{step:05}");
    let number = |n: usize| (step * 3 + n).to_string();
    match shape {
        Shape::Chain if step > 0 => [name(step - 1), number(1), number(2)],
        Shape::Layered if step >= LAYER => {
            let above = (step / LAYER - 1) * LAYER;
            [0, 1, 7].map(|n| name(above + (step + n) % LAYER))
        }
        Shape::Wide | Shape::Chain | Shape::Layered => [0, 1, 2].map(number),
    }
}
