//! What the language makes of a secret is nowhere to be read either.

use std::fmt::Write;

use r5flow::types::functions::Function;

use crate::harness::Folder;

/// Function, an expression, and what of its value must not be seen.
const MADE: &[(Function, &str, &str)] = &[
    (Function::Lower, "lower(password)", "canary-71c3-tangerine"),
    (Function::Upper, "upper(password)", "CANARY-71C3-TANGERINE"),
    (Function::Trim, "trim(padded)", "Padded-9f2e-Quince"),
    (Function::Split, "split(password, \"-\")[2]", "Tangerine"),
    (
        Function::Replace,
        "replace(password, \"-\", \"_\")",
        "Canary_71c3_Tangerine",
    ),
    (Function::Basename, "basename(path)", "Omega-88bb"),
    (
        Function::Fill,
        "fill(\"is @A@\", { A: lower(password) })",
        "canary-71c3",
    ),
    (
        Function::Join,
        "join(split(lower(password), \"-\"), \"+\")",
        "canary+71c3",
    ),
    (
        Function::Reverse,
        "reverse(split(upper(password), \"-\"))[0]",
        "TANGERINE",
    ),
    (
        Function::Sort,
        "sort(split(upper(password), \"-\"))[2]",
        "TANGERINE",
    ),
    (
        Function::Distinct,
        "distinct(split(upper(password), \"-\"))[2]",
        "TANGERINE",
    ),
    (
        Function::Flatten,
        "flatten([[upper(password)]])[0]",
        "CANARY-71C3-TANGERINE",
    ),
    (
        Function::Values,
        "values({ a: lower(password) })[0]",
        "canary-71c3-tangerine",
    ),
    (
        Function::Keys,
        "keys({ a: lower(password) })[0]",
        "canary-71c3-tangerine",
    ),
    (
        Function::MergeBy,
        "merge_by(\"k\", [{ k: \"a\", v: password }], [{ k: \"a\", v: lower(password) }])[0].v",
        "canary-71c3-tangerine",
    ),
    (Function::Int, "int(pin)", "73519846"),
    (Function::Number, "number(rate)", "7351.9846"),
    (Function::Abs, "abs(-int(pin) - 1)", "73519847"),
    (Function::Round, "round(number(rate) * 100)", "735198"),
    (Function::Floor, "floor(number(rate) * 10)", "73519"),
    (Function::Ceil, "ceil(number(rate) * 10)", "73520"),
    (Function::Text, "text(int(pin) * 3)", "220559538"),
];

/// What these give says next to nothing: yes or no, a count, or nothing of what went in.
const HARMLESS: &[Function] = &[
    Function::EndsWith,
    Function::Found,
    Function::Fresh,
    Function::Len,
    Function::Matches,
    Function::Planned,
    Function::Range,
    Function::SameResource,
    Function::Seconds,
    Function::Sources,
    Function::Earlier,
    Function::StartsWith,
];

#[test]
fn every_function_that_makes_something_of_a_secret_is_tried() {
    for function in Function::ALL {
        let tried = MADE.iter().any(|row| row.0 == *function);
        assert!(tried != HARMLESS.contains(function), "{}", function.name());
    }
}

#[test]
fn what_functions_make_of_secrets_is_recorded_nowhere() {
    let mut flow = "workflow s {\n  secret input password: string\n  secret input padded: string\n  secret input path: string\n  \
                    secret input pin: string\n  secret input rate: string\n"
        .to_owned();
    for (n, (_, expr, _)) in MADE.iter().enumerate() {
        let _ = writeln!(flow, "  step s{n} = hook same({expr})");
    }
    flow.push_str("  step doubled = hook twice(int(pin))\n");
    flow.push_str("}\n\nhook same(value: any) -> any = \"\"\"rhai\n  value\n  \"\"\"\n");
    flow.push_str("\nhook twice(value: int) -> int = \"\"\"rhai\n  value * 2\n  \"\"\"\n");
    let inputs = [
        "password=Canary-71c3-Tangerine",
        "padded= Padded-9f2e-Quince ",
        "path=Alpha-77aa/Omega-88bb",
        "pin=73519846",
        "rate=7351.9846",
    ];
    let secrets = inputs
        .map(|i| i.replacen('=', " = \"", 1) + "\"\n")
        .concat();
    let f = Folder::new(&[("s.r5flow", &flow), ("secret.toml", &secrets)]);
    let mut said = f
        .run(&["run", "s.r5flow", "--sim", "-y", "--inputs", "secret.toml"])
        .ends(0);
    for (_, _, canary) in MADE {
        said = said.never_has(canary);
    }
    let mut files = Vec::new();
    crate::secrets::collect(&f.path(".r5flow"), &mut files);
    assert!(!files.is_empty());
    let canaries = MADE.iter().map(|row| row.2).chain(["147039692"]);
    for canary in canaries {
        for (path, bytes) in &files {
            let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
            assert!(!found, "{canary} in {}", path.display());
        }
    }
}
