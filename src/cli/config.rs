//! `roost config`.

use clap::{Args, Subcommand};

use super::{Common, say};
use crate::app;
use crate::config::EXAMPLE;
use crate::error::Result;

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the configuration in force, without secrets.
    Show(Common),
    /// Say whether the configuration is valid.
    Check(Common),
    /// Print every option with its default and its meaning.
    Defaults(Common),
}

pub(super) fn run(options: &Options) -> Result<()> {
    match &options.action {
        Action::Show(common) => say(common.load(None)?.show().trim_end()),
        Action::Check(common) => {
            app::check(&common.load(None)?)?;
            say("the configuration is valid");
        }
        Action::Defaults(_) => say(EXAMPLE.trim_end()),
    }
    Ok(())
}
