//! `roost platform`.

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{Common, block_on, say};
use crate::app;
use crate::chat::SharedChat;
use crate::clock::Clock;
use crate::domain::Platform;
use crate::error::{Error, FieldError, Refusal, Result, Rule};

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a platform: a front end with users of its own.
    Add(Add),
    /// Show the platforms.
    List(List),
    /// Show a platform, with the secret that its own backend signs with.
    Show(Show),
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    common: Common,
    /// What it is called.
    #[arg(long)]
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    common: Common,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Show {
    #[command(flatten)]
    common: Common,
    /// Its public key.
    key: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<()> {
    match &options.action {
        Action::Add(add) => block_on(run_add(add)),
        Action::List(list) => block_on(run_list(list)),
        Action::Show(show) => block_on(run_show(show)),
    }
}

async fn run_add(add: &Add) -> Result<()> {
    let chat = app::open_chat(&add.common.load(None)?, Clock::system()).await?;
    let platform = chat.add_platform(&add.name).await.map_err(explain)?;
    if add.json {
        say(&json!({"public_key": platform.key, "secret": platform.secret}).to_string());
    } else {
        say(&format!("added platform {} {}", platform.id, platform.name));
        say_keys(&platform);
    }
    Ok(())
}

async fn run_show(show: &Show) -> Result<()> {
    let chat = app::open_chat(&show.common.load(None)?, Clock::system()).await?;
    let Some(platform) = named(&chat, Some(&show.key)).await? else { return Ok(()) };
    if show.json {
        let row = json!({
            "id": platform.id.0, "public_key": platform.key, "secret": platform.secret, "name": platform.name,
            "slug": platform.slug, "created_at": platform.created_at.with_seconds(),
        });
        say(&row.to_string());
    } else {
        say(&format!("platform {} {}", platform.id, platform.name));
        say_keys(&platform);
    }
    Ok(())
}

/// What a client library and a server library of the Pusher protocol are set up with.
fn say_keys(platform: &Platform) {
    say(&format!("public key: {}", platform.key));
    say(&format!("secret: {}  (for the platform's own backend only)", platform.secret));
}

async fn run_list(list: &List) -> Result<()> {
    let chat = app::open_chat(&list.common.load(None)?, Clock::system()).await?;
    let platforms = chat.platforms().await?;
    if list.json {
        let row = |platform: &Platform| {
            json!({
                "id": platform.id.0, "public_key": platform.key, "name": platform.name, "slug": platform.slug,
                "created_at": platform.created_at.with_seconds(),
            })
        };
        say(&platforms.iter().map(row).collect::<serde_json::Value>().to_string());
    } else {
        platforms.iter().for_each(|platform| say(&format!("{}  {}", platform.key, platform.name)));
    }
    Ok(())
}

/// The platform that an argument names by its public key.
pub(super) async fn named(chat: &SharedChat, key: Option<&str>) -> Result<Option<Platform>> {
    let Some(raw) = key else { return Ok(None) };
    let unknown = || Error::internal(format!("there is no platform with the public key {raw:?}"));
    let key = Uuid::try_parse(raw).map_err(|_| unknown())?;
    match chat.platform(key).await {
        Err(Error::Forbidden(Refusal::UnknownPlatform)) => Err(unknown()),
        found => found.map(Some),
    }
}

fn explain(error: Error) -> Error {
    match &error {
        Error::Invalid(fields) => match fields.as_slice() {
            [FieldError { rule: Rule::NotBlank, .. }] => Error::internal("a platform needs a name"),
            [FieldError { rule: Rule::CharsMax(max), .. }] => {
                Error::internal(format!("a platform's name has at most {max} characters"))
            }
            _ => error,
        },
        _ => error,
    }
}
