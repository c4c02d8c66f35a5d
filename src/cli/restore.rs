//! `roost restore`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, say};
use crate::clock::Clock;
use crate::error::Result;
use crate::store::sqlite::{DataDir, restore};

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// The backup.
    file: PathBuf,
    /// Check every page, reference and number of the backup first.
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let config = options.common.load(None)?;
    let dir = DataDir::prepare(&config.data)?;
    let held = dir.lock()?;
    let restored = restore(&dir, &held, &options.file, options.verify, Clock::system().now())?;
    if let Some(audit) = restored.audit {
        say(&format!("verified: {audit}"));
    }
    if let Some(previous) = restored.previous {
        say(&format!("the store that was there is kept as {}", previous.display()));
    }
    say(&format!("restored {} into {}", options.file.display(), config.data.display()));
    Ok(())
}
