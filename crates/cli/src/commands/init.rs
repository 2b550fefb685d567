//! `ampoule init`: a small working definition to start from.

use std::fs;

use serde_json::json;

use crate::args::InitArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Writes the scaffold into a new folder.
pub fn run(args: &InitArgs, printer: &Printer) -> Result<(), Failure> {
    let folder = &args.folder;
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let files = model::scaffold::scaffold(&name).map_err(|error| Failure::from_error(Fault::User, &error))?;
    if folder.exists() {
        let message = format!("`{}` exists already", folder.display());
        return Err(Failure::new(Fault::User, message).unchanged("nothing was written"));
    }
    for (path, text) in &files {
        let path = folder.join(path);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, text)
        };
        write().map_err(|error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::Environment, format!("can not write `{}`", path.display()))
        })?;
    }
    printer.data(
        || {
            format!(
                "wrote {} files to `{folder}`\nnext: ampoule check {folder} && ampoule lock {folder} && ampoule build {folder}\n",
                files.len(),
                folder = folder.display()
            )
        },
        || json!({"folder": folder, "files": files.iter().map(|(path, _)| path).collect::<Vec<_>>()}),
    );
    Ok(())
}
