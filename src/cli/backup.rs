//! `roost backup`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, say};
use crate::error::{Error, Result};
use crate::store::sqlite::backup_file;

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// The file to write; it must not exist.
    file: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let config = options.common.load(None)?;
    let database = config.data.join("roost.db");
    if !database.is_file() {
        return Err(Error::internal(format!("there is no store in {}", config.data.display())));
    }
    backup_file(&database, &options.file)?;
    let bytes = std::fs::metadata(&options.file).map_err(Error::internal)?.len();
    say(&format!("backed up to {} ({bytes} bytes)", options.file.display()));
    Ok(())
}
