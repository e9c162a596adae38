#[test]
fn gaps() {
    let catalog = crate::catalog::Catalog::embedded();
    for s in catalog.services() {
        for id in catalog.methods(&s.name).iter() {
            let m = catalog.method(id).unwrap();
            if crate::sim::model::simulated(&catalog, &m) {
                continue;
            }
            println!("GAP {} {} {}", m.id, m.verb.as_str(), m.path);
        }
    }
}
