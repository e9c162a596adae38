//! Any text as Markdown that cannot break what stands around it.
//!
//! Of Markdown, comments keep paragraphs, `code`, lists that begin with `- `, and blocks of code between
//! fences. Everything else is text.

/// A comment as paragraphs.
pub fn prose(text: &str) -> String {
    let mut blocks: Vec<String> = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(info) = line.strip_prefix("```").filter(|i| !i.contains('`')) {
            close(&mut paragraph, &mut blocks);
            let code: Vec<&str> = lines.by_ref().take_while(|l| l.trim() != "```").collect();
            blocks.push(block(info, &code.join("\n")));
        } else if line.is_empty() {
            close(&mut paragraph, &mut blocks);
        } else {
            paragraph.push(line);
        }
    }
    close(&mut paragraph, &mut blocks);
    blocks.join("\n\n")
}

fn close(paragraph: &mut Vec<&str>, blocks: &mut Vec<String>) {
    if !paragraph.is_empty() {
        let lines = inline(&paragraph.join("\n"));
        let lines: Vec<String> = lines.lines().map(start).collect();
        blocks.push(lines.join("\n"));
        paragraph.clear();
    }
}

/// Text on one line.
pub fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    start(&inline(&words.join(" ")))
}

/// Code between backticks, on one line.
pub fn code(text: &str) -> String {
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    let ticks = "`".repeat(longest_run(&text) + 1);
    let edge = text.starts_with('`') || text.ends_with('`');
    let pad = if edge || text.is_empty() { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// Code on lines of its own.
pub fn block(info: &str, text: &str) -> String {
    let info: String = info
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect();
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}{}\n{}\n{fence}", info.trim(), text.trim_end())
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Escapes what means something within a line; code keeps as it is.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '`' {
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            let (fence, behind) = rest.split_at(ticks);
            match end_of_code(behind, ticks) {
                Some(end) => {
                    out.push_str(&format!(
                        "{fence}{}{fence}",
                        behind[..end].replace('\n', " ")
                    ));
                    rest = &behind[end + ticks..];
                }
                None => {
                    out.push_str(&"\\`".repeat(ticks));
                    rest = behind;
                }
            }
            continue;
        }
        let before = out.chars().next_back();
        let around = [before, rest.chars().nth(1)];
        match c {
            // Between letters it means nothing.
            '_' if around
                .iter()
                .flatten()
                .filter(|c| c.is_alphanumeric())
                .count()
                == 2 => {}
            '\\' | '*' | '_' | '[' | ']' | '<' | '&' | '~' | '|' | '$' => out.push('\\'),
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Where the run of backticks begins that closes code opened by as many.
fn end_of_code(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let begin = at + found;
        let run = text[begin..].len() - text[begin..].trim_start_matches('`').len();
        if run == ticks {
            return Some(begin);
        }
        at = begin + run;
    }
    None
}

/// Escapes what means something at the start of a line.
fn start(line: &str) -> String {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("- ").filter(|r| !r.trim().is_empty()) {
        return format!("- {}", start(rest));
    }
    if line.starts_with(['#', '>', '+', '-', '=', ':']) {
        return format!("\\{line}");
    }
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 0 && line[digits..].starts_with(['.', ')']) {
        return format!("{}\\{}", &line[..digits], &line[digits..]);
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_keep_code_lists_and_paragraphs() {
        let text = "Uses `a_b` and\nmore:\n\n- one `*`\n- two\n\n```sh\nrm -rf *\n```\nend";
        let right = "Uses `a_b` and\nmore:\n\n- one `*`\n- two\n\n```sh\nrm -rf *\n```\n\nend";
        assert_eq!(prose(text), right);
    }

    #[test]
    fn nothing_else_means_anything() {
        let hostile = [
            ("# no heading", "\\# no heading"),
            ("text\n---", "text\n\\---"),
            ("text\n===", "text\n\\==="),
            ("1. no list", "1\\. no list"),
            ("> no quote", "\\> no quote"),
            ("- # no heading in a list", "- \\# no heading in a list"),
            ("<script>&amp;", "\\<script>\\&amp;"),
            (
                "[a](b) *c* _d_ ~~e~~",
                "\\[a\\](b) \\*c\\* \\_d\\_ \\~\\~e\\~\\~",
            ),
            ("one ` alone", "one \\` alone"),
            ("``two ` of them``", "``two ` of them``"),
            ("a | b\n:- | -:", "a \\| b\n\\:- \\| -:"),
            ("    indented", "indented"),
            ("```\nnever closed\n# x", "```\nnever closed\n# x\n```"),
            ("ends in \\", "ends in \\\\"),
            ("_a_b_", "\\_a_b\\_"),
        ];
        for (text, right) in hostile {
            assert_eq!(prose(text), right, "{text}");
        }
    }

    #[test]
    fn code_finds_a_fence_that_is_long_enough() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a\n  b"), "`a b`");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(block("r5flow", "x\n````\n"), "`````r5flow\nx\n````\n`````");
        assert_eq!(line("# a\n\n b"), "\\# a b");
    }
}
