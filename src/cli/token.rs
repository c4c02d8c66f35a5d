//! `roost token`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::user::{Whose, abilities};
use super::{Common, block_on, say};
use crate::app;
use crate::clock::Clock;
use crate::domain::{Ability, TokenId};
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
    /// Show a user's tokens, sessions of browsers too.
    List(List),
    /// Revoke a token.
    Revoke(Revoke),
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    whose: Whose,
    /// What the token may do; everything unless given. Repeatable.
    #[arg(long = "ability", value_name = "A")]
    abilities: Vec<String>,
    /// How long it is good, in hours; until it is revoked unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    hours: Option<u32>,
    /// What the token is called.
    #[arg(long, default_value = "command line")]
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args, Debug)]
struct Revoke {
    #[command(flatten)]
    common: Common,
    /// The token's number: what stands before its `|`, and in the list.
    id: i64,
}

pub(super) fn run(options: &Options) -> Result<()> {
    match &options.action {
        Action::Add(add) => block_on(run_add(add)),
        Action::List(list) => block_on(run_list(list)),
        Action::Revoke(revoke) => block_on(run_revoke(revoke)),
    }
}

async fn run_add(add: &Add) -> Result<()> {
    let config = add.common.load(None)?;
    let abilities = abilities(&add.abilities)?;
    let chat = app::open_chat(&config, Clock::system()).await?;
    let user = add.whose.find(&chat).await?;
    let lifetime = add.hours.map(|hours| Duration::from_secs(u64::from(hours) * 3600));
    let made = chat.make_token(user, add.name.clone(), abilities, lifetime).await?;
    say(&if add.json { json!({"token": made.token}).to_string() } else { made.token });
    Ok(())
}

async fn run_list(list: &List) -> Result<()> {
    let chat = app::open_chat(&list.common.load(None)?, Clock::system()).await?;
    let user = list.whose.find(&chat).await?;
    for token in chat.tokens(user.id).await? {
        let abilities = token.abilities.iter().map(Ability::as_str).collect::<Vec<_>>().join(" ");
        let ends = token.expires_at.map_or_else(String::new, |at| format!(", ends {}", at.with_seconds()));
        let made = token.created_at.with_seconds();
        say(&format!("{}  {} ({abilities}), made {made}{ends}", token.id, token.name));
    }
    Ok(())
}

async fn run_revoke(revoke: &Revoke) -> Result<()> {
    let chat = app::open_chat(&revoke.common.load(None)?, Clock::system()).await?;
    if !chat.revoke_token(TokenId(revoke.id)).await? {
        return Err(Error::internal(format!("there is no token {}", revoke.id)));
    }
    say(&format!("token {} is revoked", revoke.id));
    Ok(())
}
