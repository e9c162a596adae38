fn main() {
    let c = r5flow::catalog::Catalog::embedded();
    for a in std::env::args().skip(1) {
        if let Some(x) = c.collection(&a) {
            println!("{:?} {:?} {:?}", x.insert_id, x.identity, x.id);
        }
        if let Some((s, n)) = a.split_once('.') {
            if let Some(s) = c.schema(&r5flow::catalog::SchemaId::new(s, n)) {
                for (k, f) in &s.fields {
                    println!(
                        "{k} {:?} oo={} req={:?} unit={:?} ref={}",
                        f.kind, f.output_only, f.required_for, f.unit, f.reference
                    )
                }
            }
        }
        if let Some(m) = c.method(&a) {
            println!("{:?}", m);
        }
    }
}
