//! `ampoule check`: validates a definition and the files beside it.

use builder::papers::Papers;
use serde_json::json;

use super::definition::read_definition;
use crate::args::DefinitionArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render::counted;

/// Checks, and says what was found.
pub fn run(args: &DefinitionArgs, printer: &Printer) -> Result<(), Failure> {
    let checked = read_definition(&args.definition)?;
    let definition = &checked.parsed.definition;
    // What the maker brings along for the SBOM is read as a build reads it.
    Papers::prepare(definition, &checked.folder)
        .map_err(|error| Failure::from_error(Fault::Definition, &error).unchanged("nothing was written"))?;
    printer.data(
        || {
            let counts = [
                (definition.base.packages.len(), "package", "packages"),
                (definition.settings.len(), "setting", "settings"),
                (definition.templates.len(), "template", "templates"),
                (definition.ports.len(), "port", "ports"),
                (definition.state.len(), "state directory", "state directories"),
                (definition.health.len(), "health check", "health checks"),
            ];
            let identity = &definition.appliance;
            let counts = counts.map(|(number, one, many)| counted(number, one, many)).join(", ");
            format!("{} {} is a good definition: {counts}\n", identity.id(), identity.version)
        },
        || json!({"definition": definition}),
    );
    Ok(())
}
