//! What the simulator makes of a collection, from its own tables: by what each method is answered, and
//! the rules that its models say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::dispatch;
pub use super::model::dispatch::How;
use super::model::rules;
pub use super::model::rules::Rule;
use crate::catalog::{Catalog, NameKind};

/// One collection, explained.
pub struct Explanation {
    /// `compute.instances`
    pub collection: Arc<str>,
    /// The last names of its methods, by what answers them.
    pub methods: BTreeMap<How, Vec<Arc<str>>>,
    /// The rules of its own.
    pub rules: Vec<&'static Rule>,
    /// The rules that hold for its whole service, and for all.
    pub wide: Vec<&'static Rule>,
}

impl Explanation {
    /// By what the collection as a whole is answered: a model when a rule of its own speaks of it.
    pub fn how(&self) -> How {
        match (self.rules.is_empty(), self.methods.keys().next()) {
            (_, None | Some(How::Refused)) => How::Refused,
            (false, _) => How::Modelled,
            (true, _) => How::Generic,
        }
    }
}

/// A service, counted.
pub struct Overview {
    pub service: Arc<str>,
    /// Collections by what answers them.
    pub collections: BTreeMap<How, usize>,
    /// Methods by what answers them.
    pub methods: BTreeMap<How, usize>,
}

/// # Errors
/// No collection has that name: says which is the nearest.
pub fn explain(catalog: &Catalog, name: &str) -> Result<Explanation, String> {
    let known = catalog.collection(name).map(|c| Arc::clone(&c.path));
    let Some(collection) = known else {
        let near = catalog.suggest(NameKind::Collection, name);
        let help = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        return Err(format!("the catalogue has no collection `{name}`{help}"));
    };
    Ok(explained(catalog, collection))
}

/// Every collection of the catalogue.
pub fn everything(catalog: &Catalog) -> impl Iterator<Item = Explanation> {
    catalog
        .services()
        .flat_map(|s| catalog.collections(&s.name))
        .map(|collection| explained(catalog, collection))
}

fn explained(catalog: &Catalog, collection: Arc<str>) -> Explanation {
    let mut methods: BTreeMap<How, Vec<Arc<str>>> = BTreeMap::new();
    let names = catalog.collection(&collection).map(|c| c.methods.clone());
    for name in names.unwrap_or_default() {
        if let Some(method) = catalog.method(&format!("{collection}.{name}")) {
            let how = dispatch::how(catalog, &method);
            methods.entry(how).or_default().push(name);
        }
    }
    let (wide, rules) = rules::all()
        .filter(|rule| rule.holds_for(&collection))
        .partition(|rule| rule.is_wide());
    Explanation {
        collection,
        methods,
        rules,
        wide,
    }
}

/// Every rule, those of single subjects first.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    rules::all()
}

/// The collections of a service; none when there is no such service.
pub fn of_service(catalog: &Catalog, service: &str) -> Vec<Explanation> {
    catalog
        .collections(service)
        .into_iter()
        .map(|collection| explained(catalog, collection))
        .collect()
}

/// What is answered how, service by service.
pub fn overview(catalog: &Catalog) -> Vec<Overview> {
    let counted = |service: &Arc<str>| {
        let mut collections = BTreeMap::new();
        let mut methods = BTreeMap::new();
        for collection in catalog.collections(service) {
            let told = explained(catalog, collection);
            *collections.entry(told.how()).or_default() += 1;
            for (how, names) in &told.methods {
                *methods.entry(*how).or_default() += names.len();
            }
        }
        Overview {
            service: Arc::clone(service),
            collections,
            methods,
        }
    };
    catalog.services().map(|s| counted(&s.name)).collect()
}
