//! The pages of the docs as the tests read them.

use std::path::{Path, PathBuf};

use r5flow::catalog::Catalog;
use r5flow::check::check_with;
use r5flow::cli::hooks;
use r5flow::diag::Diagnostic;
use r5flow::package::{Files, Program, load};
use r5flow::policy;

/// Files of every ending below a folder, or the file itself.
pub fn files(place: &str, ending: &str) -> Vec<PathBuf> {
    let path = Path::new(place);
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap_or_else(|e| panic!("{place}: {e}")) {
        let path = entry.expect("a readable entry").path();
        let name = path.to_str().expect("a path of text");
        if path.is_dir() {
            found.extend(files(name, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn pages() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("README.md")];
    all.extend(files("docs", ".md"));
    all
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The page's text, and the files that examples lean on.
struct Shelf(String);

impl Files for Shelf {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let text = match path {
            "page.r5flow" => self.0.as_str(),
            "shared/naming.r5flow" => "let prefix = \"red5\"\n",
            "hooks/naming.rhai" => "\"sm-\" + build\n",
            _ => return Err("no such file".into()),
        };
        Ok(text.as_bytes().to_vec())
    }
}

pub fn findings(text: &str) -> Vec<Diagnostic> {
    let shelf = Shelf(text.to_owned());
    let (program, mut all) = load("page.r5flow", &shelf).expect("it is there");
    all.extend(judged(&program));
    all
}

/// What `r5flow check` finds in a program that was read.
pub fn judged(program: &Program) -> Vec<Diagnostic> {
    let catalog = Catalog::embedded();
    let checked = check_with(program, &catalog, &hooks::syntax);
    let mut found = match checked.has_errors() {
        true => Vec::new(),
        false => policy::of_text(&checked, &catalog),
    };
    found.extend(checked.diagnostics);
    found
}

pub fn listed(found: &[Diagnostic]) -> String {
    found
        .iter()
        .map(|d| format!("  {} {}\n", d.code, d.message))
        .collect()
}

pub fn updating() -> bool {
    std::env::var_os("R5FLOW_UPDATE").is_some()
}

pub fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The text between `<!-- NAME -->` and `<!-- end -->` is made from the code.
pub fn generated(page: &str, name: &str, right: &str) {
    let path = Path::new(page);
    let text = read(path);
    let open = format!("<!-- {name} -->\n");
    let (before, rest) = text
        .split_once(&open)
        .unwrap_or_else(|| panic!("{page} lacks <!-- {name} -->"));
    let (found, after) = rest
        .split_once("<!-- end -->")
        .unwrap_or_else(|| panic!("{page} lacks <!-- end -->"));
    if found == right {
        return;
    }
    if updating() {
        let new = format!("{before}{open}{right}<!-- end -->{after}");
        std::fs::write(path, new).expect("a writable page");
        return;
    }
    panic!("the table `{name}` of {page} is out of date; it should be\n{right}");
}

/// The text of the blocks of a page that are fenced so.
pub fn fenced(page: &str, info: &str) -> Vec<String> {
    let text = read(Path::new(page));
    let open = format!("```{info}\n");
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(block, _)| format!("{block}\n"))
        .collect()
}
