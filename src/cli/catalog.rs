//! `r5flow catalog` and `r5flow catalog build`

use serde_json::Value as Json;

use super::args::{Catalog, CatalogBuild, CatalogCommand};
use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::catalog::{build, describe};

pub fn catalog(args: &Catalog, settings: &Settings) -> Result<Exit, Failure> {
    if let Some(CatalogCommand::Build(args)) = &args.command {
        return build_files(args, settings);
    }
    let catalog = settings.catalog()?;
    if args.classes {
        let list = describe::classes(&catalog, args.name.as_deref()).map_err(Failure::usage)?;
        settings.terminal.print(&list)?;
        return Ok(Exit::Done);
    }
    let page = describe::describe(&catalog, args.name.as_deref()).map_err(Failure::usage)?;
    settings.terminal.print(&page)?;
    Ok(Exit::Done)
}

fn build_files(args: &CatalogBuild, settings: &Settings) -> Result<Exit, Failure> {
    let mut documents: Vec<Json> = Vec::with_capacity(args.documents.len());
    for path in &args.documents {
        let fail =
            |why: String| Failure::usage(format!("`{}` cannot be read: {why}", path.display()));
        let text = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
        documents.push(serde_json::from_slice(&text).map_err(|e| fail(e.to_string()))?);
    }
    let built = build(&documents)?;
    let fail = |e: std::io::Error| {
        Failure::usage(format!("`{}` cannot be written: {e}", args.out.display()))
    };
    std::fs::create_dir_all(&args.out).map_err(fail)?;
    for service in built {
        let file = args.out.join(format!("{}.r5cat", service.info.name));
        std::fs::write(&file, &service.bytes).map_err(fail)?;
        settings.terminal.line(format_args!(
            "{}: {} {}, revision {}, {} methods, {} types",
            file.display(),
            service.info.name,
            service.info.version,
            service.info.revision,
            service.info.methods,
            service.info.schemas
        ))?;
    }
    Ok(Exit::Done)
}
