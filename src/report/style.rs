//! Colours, widths and short forms that all views share.

use crate::world::{Millis, Timestamp};

/// How a stream looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub color: bool,
    /// In columns.
    pub width: usize,
}

impl Look {
    /// Without colours, for files and tests.
    pub const PLAIN: Look = Look {
        color: false,
        width: 100,
    };

    fn paint(self, code: &str, text: &str) -> String {
        match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// Text from flows, answers and journals without what would steer a terminal; newlines stay.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            // Marks that turn the direction of writing make a text look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The same on one line.
pub fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `width` characters, the last of them an ellipsis when something is cut off.
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// The text in lines of at most `width` characters, but for words that are longer.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A span as people say it: `0.4s`, `12s`, `3m07s`, `1h02m`.
pub fn span(ms: Millis) -> String {
    let total = ms.0.max(0);
    let seconds = (total + 500) / 1000;
    match total {
        0..9_950 => format!("{}.{}s", (total + 50) / 1000, (total + 50) % 1000 / 100),
        9_950..59_500 => format!("{seconds}s"),
        59_500..3_599_500 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The time since the start of a run: `00:12:03`.
pub fn elapsed(ms: Millis) -> String {
    let seconds = ms.0.max(0) / 1000;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A moment for tables: `2026-11-23 15:32:15`, in UTC.
pub fn moment(at: Timestamp) -> String {
    at.rfc3339()
        .chars()
        .take(19)
        .collect::<String>()
        .replace('T', " ")
}

/// `1 step`, `2 steps`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        let all = [
            0, 40, 940, 1000, 9_949, 9_950, 59_499, 59_500, 92_000, 3_599_499, 3_600_000,
            86_400_000,
        ];
        let texts: Vec<String> = all.iter().map(|n| span(Millis(*n))).collect();
        assert_eq!(
            texts,
            [
                "0.0s", "0.0s", "0.9s", "1.0s", "9.9s", "10s", "59s", "1m00s", "1m32s", "59m59s",
                "1h00m", "24h00m"
            ]
        );
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(
            clean("a\x1b[2Jb\u{202e}c\td\n"),
            "a\u{fffd}[2Jb\u{fffd}c d\n"
        );
        assert_eq!(one_line(" a\n  b\tc "), "a b c");
        assert_eq!(fit("abcdef", 4), "abc…");
    }

    #[test]
    fn run_time_has_hours() {
        assert_eq!(elapsed(Millis(43_323_999)), "12:02:03");
    }
}
