//! What tests of flows came to: for people, as JSON lines, and as JUnit XML.

use serde_json::{Value as Json, json};

use super::style::{count, span};
use crate::diag::Diagnostic;
use crate::diag::render::{self, Style};
use crate::source::{SourceMap, Span};
use crate::store::{Key, Vault};
use crate::world::Millis;

/// What came of one test.
#[derive(Clone, Debug)]
pub struct Tested {
    pub title: String,
    /// The test's title in its file.
    pub span: Span,
    /// Why it fails; nothing when it passes.
    pub failures: Vec<Diagnostic>,
    /// Virtual time from its beginning to its end.
    pub elapsed: Millis,
    /// Names and values: none of them is printed, although the test itself may hold them.
    pub secrets: Vec<(String, String)>,
}

impl Tested {
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    fn vault(&self) -> Vault {
        let key = || Key::new([7; 32]);
        Vault::new(key(), self.secrets.clone()).unwrap_or_else(|_| Vault::empty(key()))
    }

    fn shown(&self, sources: &SourceMap, failures: &[Diagnostic], style: Style) -> String {
        self.vault().mask(&render::text(sources, failures, style))
    }
}

/// The tests of one file.
pub struct TestedFile<'s> {
    pub sources: &'s SourceMap,
    pub name: String,
    pub tests: Vec<Tested>,
}

impl TestedFile<'_> {
    fn failed(&self) -> usize {
        self.tests.iter().filter(|t| !t.passed()).count()
    }

    fn elapsed(&self) -> Millis {
        Millis(self.tests.iter().map(|t| t.elapsed.0).sum())
    }
}

/// How many tests there are, and how many of them fail.
pub fn tally(files: &[TestedFile<'_>]) -> (usize, usize) {
    let all = files.iter().map(|f| f.tests.len()).sum();
    (all, files.iter().map(TestedFile::failed).sum())
}

/// A line for each test, what is wrong with it, and the sum.
pub fn text(files: &[TestedFile<'_>], style: Style) -> String {
    let mut out = String::new();
    for file in files {
        out.push_str(&format!("{}\n", file.name));
        for test in &file.tests {
            let word = if test.passed() { "ok  " } else { "FAIL" };
            out.push_str(&format!(
                "  {word}  {} ({})\n",
                test.title,
                span(test.elapsed)
            ));
            out.push_str(&test.shown(file.sources, &test.failures, style));
        }
    }
    let (all, failed) = tally(files);
    out.push_str(&match failed {
        0 => format!("{}, all passed\n", count(all, "test")),
        failed => format!("{}, {failed} failed\n", count(all, "test")),
    });
    out
}

/// One line for each test, and the sum.
pub fn lines(files: &[TestedFile<'_>]) -> Vec<Json> {
    let mut out = Vec::new();
    for file in files {
        for test in &file.tests {
            let source = file.sources.get(test.span.source);
            let (line, _) = source.map_or((1, 1), |s| s.line_column(test.span.start));
            let findings: Vec<Json> = test
                .failures
                .iter()
                .map(|f| test.vault().mask_json(&render::json(file.sources, f)))
                .collect();
            out.push(json!({
                "file": file.name,
                "test": test.title,
                "line": line,
                "passed": test.passed(),
                "elapsed_ms": test.elapsed.0,
                "findings": findings,
            }));
        }
    }
    let (all, failed) = tally(files);
    out.push(json!({ "tests": all, "failed": failed }));
    out
}

/// JUnit XML; times are virtual seconds.
pub fn junit(files: &[TestedFile<'_>]) -> String {
    let (all, failed) = tally(files);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"r5flow\" tests=\"{all}\" failures=\"{failed}\">\n"
    );
    for file in files {
        out.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{}\">\n",
            escaped(&file.name),
            file.tests.len(),
            file.failed(),
            seconds(file.elapsed())
        ));
        for test in &file.tests {
            out.push_str(&test_case(file, test));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn test_case(file: &TestedFile<'_>, test: &Tested) -> String {
    let source = file.sources.get(test.span.source);
    let (line, _) = source.map_or((1, 1), |s| s.line_column(test.span.start));
    let head = format!(
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{line}\" time=\"{}\"",
        escaped(&test.title),
        escaped(&file.name),
        escaped(&file.name),
        seconds(test.elapsed)
    );
    if test.passed() {
        return format!("{head}/>\n");
    }
    let plain = Style {
        color: false,
        width: 100,
    };
    let failures: String = test
        .failures
        .iter()
        .map(|failure| {
            format!(
                "      <failure type=\"{}\" message=\"{}\">{}</failure>\n",
                failure.code,
                escaped(&failure.message),
                escaped(&test.shown(file.sources, std::slice::from_ref(failure), plain))
                    .replace("&#10;", "\n")
            )
        })
        .collect();
    format!("{head}>\n{failures}    </testcase>\n")
}

fn seconds(span: Millis) -> String {
    format!("{}.{:03}", span.0 / 1000, span.0 % 1000)
}

/// XML has no form for most control characters, escaped or not.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
