//! A failed step with its place in the flow.

use serde_json::{Value as Json, json};

use super::style::{Look, clean};
use crate::journal::{Reason, StepFailure};
use crate::source::SourceMap;
use crate::store::Vault;

/// One word for a kind of failure.
pub fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Failed | Reason::Flow => "failed",
        Reason::Denied => "denied",
        Reason::TimedOut => "timed out",
        Reason::Permission => "forbidden",
        Reason::Decision => "undecided",
    }
}

/// What happened, the line of the flow with a mark below it, and what to do.
pub fn text(
    address: &str,
    failure: &StepFailure,
    sources: &SourceMap,
    vault: &Vault,
    look: Look,
) -> String {
    let message = clean(&vault.mask(&failure.message));
    let mut out = format!(
        "{} {}: {message}\n",
        look.red("×"),
        look.bold(&clean(address))
    );
    out.push_str(&below(failure, sources, vault, look));
    out
}

/// The line of the flow with a mark below it, the API's own words, and what to do.
pub fn below(failure: &StepFailure, sources: &SourceMap, vault: &Vault, look: Look) -> String {
    let mut out = String::new();
    match snippet(&failure.place, sources, look) {
        Some(snippet) => out.push_str(&snippet),
        None if !failure.place.is_empty() => {
            out.push_str(&format!("  at {}\n", clean(&failure.place)));
        }
        None => {}
    }
    if let Some(api) = &failure.api {
        let reason = clean(&vault.mask(&api.reason));
        let words = format!("{} {} {reason}", api.class.as_str(), api.status);
        out.push_str(&format!("  {} {}\n", look.dim("answer:"), words.trim_end()));
    }
    if let Some(help) = &failure.help {
        out.push_str(&format!(
            "  {} {}\n",
            look.cyan("help:"),
            clean(&vault.mask(help))
        ));
    }
    out
}

/// The line at `file:line:column`, its word underlined, or all up to the last column.
fn snippet(place: &str, sources: &SourceMap, look: Look) -> Option<String> {
    let mut parts = place.rsplitn(3, ':');
    let columns = parts.next()?;
    let (first, last) = columns.split_once('-').unwrap_or((columns, ""));
    let column: usize = first.parse().ok()?;
    let number: usize = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let source = sources.iter().find(|s| s.name == name)?;
    let line = source.text.lines().nth(number.checked_sub(1)?)?;
    let before: String = line.chars().take(column.checked_sub(1)?).collect();
    let rest: String = line.chars().skip(column - 1).collect();
    let word = match last.parse::<usize>() {
        Ok(last) => (last + 1)
            .saturating_sub(column)
            .min(rest.trim_end().chars().count()),
        Err(_) => rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .count(),
    };
    let pad = " ".repeat(number.to_string().len());
    let indent: String = before
        .chars()
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    Some(format!(
        "  {pad}{}\n  {} {}\n  {pad} {} {indent}{}\n",
        look.dim(&format!("╭─[{name}:{number}:{column}]")),
        look.dim(&format!("{number} │")),
        clean(line),
        look.dim("·"),
        look.red(&"─".repeat(word.max(1)))
    ))
}

pub fn json(address: &str, failure: &StepFailure, vault: &Vault) -> Json {
    vault.mask_json(&json!({
        "kind": "failure",
        "address": address,
        "reason": failure.reason.as_str(),
        "message": failure.message,
        "place": failure.place,
        "help": failure.help,
        "api": failure.api,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;

    #[test]
    fn the_word_of_the_flow_is_underlined() {
        let mut sources = SourceMap::default();
        sources.add("a:b.r5flow", "one\n  step vm = x\n");
        let failure = StepFailure {
            reason: Reason::Failed,
            message: "the key is hunter2\x1b[2J".into(),
            place: "a:b.r5flow:2:8".into(),
            help: Some("try again".into()),
            api: None,
        };
        let secrets = vec![("key".to_owned(), "hunter2".to_owned())];
        let vault = Vault::new(Key::new([1; 32]), secrets).expect("a vault");
        assert_eq!(
            text("vm", &failure, &sources, &vault, Look::PLAIN),
            "× vm: the key is •••\u{fffd}[2J\n   ╭─[a:b.r5flow:2:8]\n  2 │   step vm = x\n    ·        ──\n  help: try again\n"
        );
    }
}
