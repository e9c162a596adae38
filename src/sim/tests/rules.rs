#[test]
fn show() {
    let catalog = crate::catalog::Catalog::embedded();
    for service in catalog.services().map(|s| s.name.clone()).collect::<Vec<_>>() {
        for path in catalog.collections(&service) {
            let c = catalog.collection(&path).expect("collection");
            if c.insert.is_some() && c.get.is_some() && (&*service != "compute" || c.insert_id != crate::catalog::InsertId::BodyField("name".into())) {
                println!("{path} {:?} id={:?} env={:?} full={:?} ident={:?}", c.insert_id, c.id, c.envelope, c.full_name.as_ref().map(|f| f.to_string()), c.identity.iter().map(|i| format!("{}:{:?}:{:?}", i.name, i.source, i.body_field)).collect::<Vec<_>>());
            }
        }
    }
}
