//! `r5flow explain`

use super::args::Explain;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::diag::{CODES, Code, story};

pub fn explain(args: &Explain, settings: &Settings) -> Result<Exit, Failure> {
    let page = args.code.parse::<Code>().ok().and_then(story);
    let Some(page) = page else {
        let (first, last) = (CODES.first(), CODES.last());
        let range = match (first, last) {
            (Some((first, _)), Some((last, _))) => format!("codes run from {first} to {last}"),
            _ => String::new(),
        };
        return Err(Failure::usage(format!("there is no diagnostic `{}`", args.code)).help(range));
    };
    settings.terminal.print(&format!("{}\n", page.trim_end()))?;
    Ok(Exit::Done)
}
