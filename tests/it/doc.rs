//! `r5flow doc`, and the reference of the standard library that is kept in the docs.

use r5flow::package::{Disk, load};
use r5flow::syntax::ast::{Item, Name, Stmt};

use crate::book::{assert_none, files, updating};
use crate::harness::Folder;

/// Whoever reads the reference is told what each thing is for.
#[test]
fn everything_of_the_library_is_described() {
    let mut bare = Vec::new();
    for path in files("stdlib", "r5flow") {
        let path = path.to_string_lossy().into_owned();
        let (program, _) = load(&path, &Disk).expect("a module of the library");
        for item in &program.root().file.items {
            let mut named = vec![];
            match item {
                Item::Workflow(w) => {
                    named.push((&w.name, &w.doc));
                    for stmt in &w.body.stmts {
                        match stmt {
                            Stmt::Input(i) => named.push((&i.name, &i.doc)),
                            Stmt::Output(o) => named.push((&o.name, &o.doc)),
                            _ => {}
                        }
                    }
                }
                Item::Policy(p) => named.push((&p.name, &p.doc)),
                Item::Type(t) => named.push((&t.name, &t.doc)),
                Item::Hook(h) => named.push((&h.name, &h.doc)),
                Item::Let(l) => named.push((&l.name, &l.doc)),
                _ => {}
            }
            let place = |name: &Name| program.sources.place(name.span).to_string();
            let without = named.into_iter().filter(|(_, doc)| doc.is_none());
            bare.extend(without.map(|(name, _)| format!("{}: {}", place(name), name.text)));
        }
    }
    assert_none(&bare);
}

const TYPES: &str =
    "// What is shared.\n\n/// How far a group grows.\ntype Plan = { min: int(1..), max: int }\n";

const FLOW: &str = r#"// Groups | and <more>.

use ./types { Plan }

/// The port.
let port = 5080

/// Rounds.
hook half(n: int) -> int = """rhai
  n / 2
  """

/// Removes *one* machine, and `a|b`.
/// # no heading
workflow clean {
  input project: string

  /// How far.
  input plan: map<Plan>

  /// | not | a table |
  input note: string = "`x` | y"
  secret input token: string

  at { project, zone: "us-central1-a" }

  for name, p in plan {
    step gone = call compute.instances.delete(name)
      when p.min > port
  }

  checkpoint ready

  step told = http POST "https://example.com/${note}" {
    headers: { authorization: "Bearer ${token}" }
  }
    repeat safe

  step halved = hook half(len(plan))

  step image = ensure compute.images("sm") { family: "sm" }

  /// How many.
  output count = halved
}

/// Everything.
workflow all {
  input project: string
  input plan: map<Plan>
  secret input token: string

  step cleaned = run clean { project, plan, token }

  output count = cleaned.count
}
"#;

fn folder() -> Folder {
    let folder = Folder::new(&[("types.r5flow", TYPES)]);
    folder.write("flow.r5flow", FLOW);
    folder
}

#[test]
fn a_module_tells_what_it_takes_gives_and_calls() {
    let said = folder().run(&["doc"]).ends(0);
    for line in [
        "# flow\n\nGroups \\| and \\<more>.\n",
        "## Constants\n\n### port\n\nThe port.\n\n```r5flow fragment\nlet port = 5080\n```\n",
        "### half\n\nRounds.\n\n`hook half(n: int) -> int`\n",
        "Removes \\*one\\* machine, and `a|b`.\n\\# no heading\n",
        "- `plan`: [`map<Plan>`](#plan). How far.\n",
        "- `note`: `string` = ``\"`x` | y\"``. \\| not \\| a table \\|\n",
        "- `token`: secret `string`\n",
        "- `count`: `int`. How many.\n",
        "- `gone`: call `compute.instances.delete`, for each of `plan`, if `p.min > port`\n",
        "- `ready`: checkpoint\n",
        "- `told`: http `POST \"https://example.com/${note}\"`\n",
        "- `halved`: hook [`half`](#half)\n",
        "- `image`: ensure `compute.images` (`get`, `insert`, `patch`); taken back with `delete`\n",
        "- `cleaned`: run [`clean`](#clean)\n\nNeeds `compute.googleapis.com`.\n\n**Removes** with `compute.instances.delete`.\n",
        "# types\n\nWhat is shared.\n",
    ] {
        assert!(said.out.contains(line), "no {line:?} in:\n{}", said.out);
    }
}

#[test]
fn pages_are_written_compared_and_taken_away() {
    let folder = folder();
    let write = ["doc", ".", "--out", "pages"];
    let check = ["doc", ".", "--out", "pages", "--check"];
    folder
        .run(&check)
        .ends(2)
        .out_has("pages/README.md would change");
    assert!(!folder.path("pages").exists(), "a check writes nothing");
    folder.run(&write).ends(0).err_has("3 pages in pages");
    folder.run(&check).ends(0);
    let page = folder.read("pages/flow.md");
    assert!(page.contains("[`map<Plan>`](types.md#plan)"), "{page}");
    let index = folder.read("pages/README.md");
    assert!(
        index.contains("- [`types`](types.md): What is shared.\n"),
        "{index}"
    );
    assert!(
        index.contains("  - [`all`](flow.md#all): Everything.\n"),
        "{index}"
    );

    folder.write("pages/flow.md", &page.replace("How far", "How near"));
    folder.write("pages/own.md", "somebody's\n");
    folder.write("more.r5flow", "/// One.\nlet one = 1\n");
    folder.run(&write).ends(0);
    assert_eq!(folder.read("pages/flow.md"), page);
    std::fs::remove_file(folder.path("more.r5flow")).expect("a file");
    folder
        .run(&check)
        .ends(2)
        .out_has("pages/more.md would change");
    folder.run(&write).ends(0);
    assert!(!folder.path("pages/more.md").exists());
    assert_eq!(folder.read("pages/own.md"), "somebody's\n");
    folder.run(&check).ends(0);
}

#[test]
fn machines_read_the_same() {
    let lines = folder()
        .run(&["doc", "flow.r5flow", "--json"])
        .ends(0)
        .lines();
    assert_eq!(lines[0]["kind"], "doc");
    let flow = &lines[1]["workflows"][0];
    assert_eq!(lines[1]["kind"], "module");
    assert_eq!(flow["destroys"][0], "compute.instances.delete");
    assert_eq!(flow["inputs"][1]["uses"][0]["item"], "Plan");
    assert_eq!(flow["inputs"][3]["secret"], true);
    assert_eq!(flow["steps"][0]["around"][0]["word"], "for each of");
}

#[test]
fn what_has_no_comment_is_named() {
    let said = folder().run(&["doc", "flow.r5flow", "--missing"]).ends(0);
    said.err_has("flow.r5flow:16:9: input `project` of `clean` has no comment\n")
        .err_has("output `count` of `all` has no comment\n")
        .never_has("`port` has no comment");
}

#[test]
fn every_wrong_file_is_told_and_nothing_is_written() {
    let folder = folder();
    folder.write(
        "a.r5flow",
        "workflow a { step x = read compute.imags(\"i\") }\n",
    );
    folder.write("b.r5flow", "workflow b {\n");
    let said = folder.run(&["doc", "--out", "pages"]).ends(3);
    said.err_has("R0401").err_has("b.r5flow");
    assert!(!folder.path("pages").exists());
    folder
        .run(&["doc", "nowhere"])
        .ends(64)
        .err_has("`nowhere` cannot be read");
    let empty = Folder::new(&[]);
    empty
        .run(&["doc"])
        .ends(64)
        .err_has("there is no flow at these places");
    empty.write("README.r5flow", "let one = 1\n");
    empty
        .run(&["doc"])
        .ends(64)
        .err_has("in the place of the index");
    folder.run(&["doc", "--stdlib", "."]).ends(64);
    folder.run(&["doc", "--check"]).ends(64);
}

/// `R5FLOW_UPDATE=1 cargo test --test it doc::` writes it anew.
#[test]
fn the_reference_of_the_library_is_up_to_date() {
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/library");
    let here = Folder::new(&[]);
    let mut words = vec!["doc", "--stdlib", "--out", pages];
    if !updating() {
        words.push("--check");
    }
    let said = here.run(&words).ends_among(&[0, 2]);
    assert_eq!(
        said.code, 0,
        "`r5flow doc --stdlib --out docs/library`:\n{}",
        said.out
    );
}
