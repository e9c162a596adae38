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
#[test]
#[ignore = "prints"]
fn dump() {
    let c = Catalog::embedded();
    for s in c.services() {
        for p in c.collections(&s.name) {
            let k = c.collection(&p).unwrap();
            if k.insert.is_none() || (&*s.name == "logging" && !p.starts_with("logging.projects")) {
                continue;
            }
            let ids: Vec<String> = k
                .identity
                .iter()
                .map(|i| {
                    format!(
                        "{}{}{}",
                        i.name,
                        match i.source {
                            IdentitySource::QueryShared => "?",
                            _ => "",
                        },
                        i.body_field
                            .as_ref()
                            .map_or(String::new(), |b| format!("->{b}"))
                    )
                })
                .collect();
            println!(
                "C {p} id={:?} ins={:?} env={:?} [{}] upd={}{} {:?}",
                k.id.as_deref().unwrap_or("-"),
                k.insert_id,
                k.envelope.as_deref(),
                ids.join(","),
                if k.patch.is_some() { "P" } else { "" },
                if k.update.is_some() { "U" } else { "" },
                k.full_name.as_ref().map(|f| f.to_string())
            );
        }
    }
    let mut by: BTreeMap<SettleClass, Vec<String>> = BTreeMap::new();
    for s in c.services() {
        for m in c.methods(&s.name) {
            let m = c.method(&m).unwrap();
            if m.verb != crate::wire::Verb::Get {
                by.entry(m.settle).or_default().push(m.id.to_string());
            }
        }
    }
    for (k, v) in by {
        println!(
            "S {k:?} {} {}",
            v.len(),
            if matches!(k, SettleClass::IdAndOperation | SettleClass::Delete) {
                String::new()
            } else {
                v.join(" ")
            }
        );
    }
    for s in c.services() {
        for n in c.schemas(&s.name) {
            let sc = c.schema(&SchemaId::new(s.name.clone(), n)).unwrap();
            for (f, x) in &sc.fields {
                if let Some(u) = x.unit {
                    if u != Unit::GoogleDuration {
                        println!("U {} {f} {u:?}", sc.id);
                    }
                }
                if let Some(d) = &x.default {
                    println!("D {} {f} {d}", sc.id);
                }
                if x.input_only {
                    println!("I {} {f}", sc.id);
                }
                if x.list != ListKind::Ordered {
                    println!("L {} {f} {:?}", sc.id, x.list);
                }
                if x.reference && !x.output_only {
                    println!("R {} {f}", sc.id);
                }
            }
        }
    }
}
