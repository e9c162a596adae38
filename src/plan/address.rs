//! Addresses of steps, and the paths by which they are named without their keys.

/// `take/group` of `take/group["us-central1"]`.
pub fn without_keys(address: &str) -> String {
    let mut quoted = false;
    let mut inside = false;
    address
        .chars()
        .filter(|c| {
            quoted ^= *c == '"';
            inside |= !quoted && *c == '[';
            let kept = !inside;
            inside &= quoted || *c != ']';
            kept
        })
        .collect()
}

/// Whether a step is meant by an address that may leave out all keys, or be that of a `run` step around it.
pub fn is_of(step: &str, meant: &str) -> bool {
    let within = |address: &str| {
        let rest = address.strip_prefix(meant);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
    };
    within(step) || within(&without_keys(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_meant_with_and_without_keys_and_by_what_runs_it() {
        let step = r#"group["us-east1"]/settled/machine["a/b]"]"#;
        for meant in [
            step,
            "group",
            "group/settled",
            "group/settled/machine",
            r#"group["us-east1"]"#,
            r#"group["us-east1"]/settled/machine"#,
        ] {
            assert!(is_of(step, meant), "{meant}");
        }
        for meant in [
            "grou",
            "settled",
            r#"group["us-west1"]"#,
            "group/settled/mach",
        ] {
            assert!(!is_of(step, meant), "{meant}");
        }
    }
}
