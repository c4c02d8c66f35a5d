//! `roost migrate`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, block_on, note, say};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::transfer::{self, Move};

#[derive(Args, Debug)]
pub(super) struct Options {
    /// The store that is moved: `sqlite:` and its data folder.
    #[arg(long, value_name = "sqlite:DIR")]
    from: String,
    /// An empty database: `postgres://user:password@host/database?sslmode=…`; without it `store.url` of the
    /// configuration (`ROOST_STORE_URL`), which keeps the password out of the list of processes.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Follow the running server until it is stopped, and finish then.
    #[arg(long)]
    wait: bool,
    /// Compare every conversation once more when the server has stopped.
    #[arg(long)]
    check_all: bool,
    /// Rows that are moved at a time.
    #[arg(long, value_name = "ROWS", default_value_t = 5000)]
    rows: usize,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let Some(folder) = options.from.strip_prefix("sqlite:").filter(|folder| !folder.is_empty()) else {
        return Err(Error::internal("--from is sqlite: and a data folder, as in --from sqlite:/var/lib/roost"));
    };
    let to = match &options.to {
        Some(to) => to.clone(),
        None => Common::default().load(None)?.store.url,
    };
    if !["postgres://", "postgresql://"].iter().any(|scheme| to.starts_with(scheme)) {
        return Err(Error::internal(
            "--to (or store.url) is the address of a database: postgres://user:password@host/database",
        ));
    }
    let plan = Move {
        from: PathBuf::from(folder),
        to,
        wait: options.wait,
        check_all: options.check_all,
        rows: options.rows,
        now: Clock::system().now(),
    };
    let moved = block_on(transfer::run(&plan, &|line| note(&line)))?;
    say(&format!(
        "moved and compared: {} conversations, {} messages, {} other events; the cut-over took {:.1} s",
        moved.conversations,
        moved.messages,
        moved.events,
        moved.down.as_secs_f64()
    ));
    say("set store.url (or ROOST_STORE_URL) to that database's address, and start the server");
    say(&format!(
        "{folder} is marked as moved (MOVED); uploaded files stay where they are: in {folder}, which servers keep as \
         their --data, or in S3"
    ));
    Ok(())
}
