//! Prints a flow of no-op steps: `cargo run --example generate -- layered 10000 > layered.r5flow`.

#[path = "../benches/flows/mod.rs"]
mod flows;

use std::process::ExitCode;

use flows::{Shape, flow};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wanted = match args.as_slice() {
        [shape, steps] => Shape::ALL
            .into_iter()
            .find(|s| s.name() == shape)
            .zip(steps.parse().ok()),
        _ => None,
    };
    match wanted {
        Some((shape, steps)) => {
            print!("{}", flow(shape, steps));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("usage: generate wide|chain|layered STEPS");
            ExitCode::FAILURE
        }
    }
}
