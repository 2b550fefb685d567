//! Making bundles, looking at them, and taking them into a depot. What a bundle is, is in [`release::bundle`].

mod import;
mod look;
mod pack;
mod write;

use std::fs::File;
use std::path::Path;

use release::bundle::archive::Reader;

use crate::error::{DepotError, io};

pub use import::{Imported, ensure_bundle, import};
pub use look::{Opened, claims_to_be_one};
pub use pack::{Packed, Selection, pack};
pub use release::bundle::*;

fn reader(bundle: &Path) -> Result<Reader<File>, DepotError> {
    Ok(Reader::new(File::open(bundle).map_err(io("open", bundle))?, bundle))
}
