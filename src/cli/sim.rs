//! `r5flow sim`

use std::path::Path;

use tokio::net::TcpListener;

use super::args::Sim as Args;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::report::simulated;
use crate::sim::{Scenario, Sim, Speed, serve};
use crate::world::Timestamp;

pub fn sim(args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    if let Some(name) = &args.explain {
        let told =
            simulated::told(&settings.catalog()?, name.as_deref()).map_err(Failure::usage)?;
        settings.terminal.print(&told)?;
        return Ok(Exit::Done);
    }
    let speed = speed(&args.speed)?;
    let scenario = match &args.scenario {
        Some(file) => scenario(file)?,
        None => Scenario::default(),
    };
    let cloud = Box::new(Sim::new(settings.catalog()?, scenario, Timestamp::now()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Failed, format!("the event loop cannot start: {e}")))?;
    runtime.block_on(async {
        let fail = |e: std::io::Error| {
            Failure::usage(format!("`{}` cannot be listened on: {e}", args.listen))
        };
        let listener = TcpListener::bind(&args.listen).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        if !address.ip().is_loopback() {
            settings.terminal.tell(
                "warning: other machines can reach this port, and nobody is asked who they are\n",
            );
        }
        settings.terminal.line(format_args!(
            "the simulated cloud answers at http://{address}; stop it with Ctrl-C"
        ))?;
        let stop = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        serve(listener, cloud, speed, stop).await?;
        Ok(Exit::Done)
    })
}

fn speed(text: &str) -> Result<Speed, Failure> {
    let factor = text.parse::<f64>().ok();
    match factor.filter(|f| f.is_finite() && *f > 0.0) {
        Some(factor) => Ok(Speed::Times(factor)),
        None if text == "virtual" => Ok(Speed::Virtual),
        None => Err(Failure::usage(format!(
            "`--speed {text}` is no speed: it takes a number above 0, or `virtual`"
        ))),
    }
}

/// Reads a scenario.
///
/// # Errors
/// The file cannot be read, or is no scenario.
pub fn scenario(file: &Path) -> Result<Scenario, Failure> {
    let fail = |why: String| {
        Failure::usage(format!(
            "the scenario `{}` cannot be used: {why}",
            file.display()
        ))
    };
    Scenario::read(file).map_err(fail)
}
