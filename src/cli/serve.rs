//! `roost serve`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use super::Common;
use crate::config::LogFormat;
use crate::error::{Error, Result};
use crate::{serve, telemetry};

#[derive(Args, Debug, Default)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How to write the log.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Pretty,
    Json,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let mut config = options.common.load(options.listen)?;
    match options.log_format {
        Some(Format::Pretty) => config.log.format = LogFormat::Pretty,
        Some(Format::Json) => config.log.format = LogFormat::Json,
        None => {}
    }
    telemetry::start_log(&config.log).map_err(Error::internal)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(serve::run(config))
}
