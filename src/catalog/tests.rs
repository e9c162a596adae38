use super::*;

/// Rebuilds `catalog/` from a directory of discovery documents:
/// `R5FLOW_DISCOVERY=DIR cargo test --lib catalog::tests::rebuild -- --ignored`.
#[test]
#[ignore = "writes the files under catalog/"]
fn rebuild() {
    let from = std::env::var("R5FLOW_DISCOVERY").expect("R5FLOW_DISCOVERY names a directory");
    for file in std::fs::read_dir(&from).unwrap() {
        let path = file.unwrap().path();
        let document = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for built in build(&[document]).unwrap() {
            let name = format!("catalog/{}.r5cat", built.info.name);
            println!(
                "{name} {} {} {}",
                built.bytes.len(),
                built.info.methods,
                built.info.schemas
            );
            std::fs::write(name, &built.bytes).unwrap();
        }
    }
}
