//! `roost token`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::user::{abilities, email};
use super::{Common, block_on, say};
use crate::app;
use crate::clock::Clock;
use crate::error::{Error, Result};

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a bearer token for a user.
    Add(Add),
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    common: Common,
    /// The user's address.
    #[arg(long, value_name = "E")]
    user: String,
    /// What the token may do; everything unless given. Repeatable.
    #[arg(long = "ability", value_name = "A")]
    abilities: Vec<String>,
    /// What the token is called.
    #[arg(long, default_value = "command line")]
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<()> {
    match &options.action {
        Action::Add(add) => block_on(run_add(add)),
    }
}

async fn run_add(add: &Add) -> Result<()> {
    let config = add.common.load(None)?;
    let (email, abilities) = (email(&add.user)?, abilities(&add.abilities)?);
    let chat = app::open_chat(&config, Clock::system()).await?;
    let user = chat.user_by_email(None, &email).await?;
    let user = user.ok_or_else(|| Error::internal(format!("{} has no account", add.user)))?;
    let made = chat.make_token(user, add.name.clone(), abilities, None).await?;
    say(&if add.json { json!({"token": made.token}).to_string() } else { made.token });
    Ok(())
}
