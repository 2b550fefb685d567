//! Files that answer a maintainer script's question before it is asked, where its own answer can not be sealed.

use std::path::Path;

use crate::base::BaseError;
use crate::base::error::At;

/// A file whose presence says that the question will come, the file that answers, and the answer.
const ANSWERS: [(&str, &str, &str); 1] = [
    // A database made here would have the same system identifier in every copy of the image, other bytes in every
    // build, and would lie where the state goes. It is made on the appliance.
    (
        "usr/share/postgresql-common/createcluster.conf",
        "etc/postgresql-common/createcluster.conf",
        "create_main_cluster = false\n",
    ),
];

/// Writes the answers to the questions of the packages in `root`.
pub(super) fn write(root: &Path) -> Result<(), BaseError> {
    for (sign, file, answer) in ANSWERS {
        let path = root.join(file);
        if !root.join(sign).exists() || path.symlink_metadata().is_ok() {
            continue;
        }
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).at("create", directory)?;
        }
        std::fs::write(&path, answer).at("write", path)?;
    }
    Ok(())
}
