//! `roost user`.

use std::io::Read;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Common, block_on, platform, say};
use crate::app;
use crate::chat::{SharedChat, UserFilter};
use crate::clock::Clock;
use crate::domain::{Ability, Email, Platform, PlatformId, User, UserId};
use crate::error::{Error, FieldError, Result, Rule};

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an account that can sign in at once.
    Add(Add),
    /// Show the accounts.
    List(List),
    /// Switch an account off: its tokens end and nobody signs in to it.
    Disable(Switch),
    /// Switch an account on again.
    Enable(Switch),
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    common: Common,
    /// The address, unique on its platform.
    #[arg(long)]
    email: String,
    /// The public key of the platform it belongs to; to none unless given.
    #[arg(long, value_name = "KEY")]
    platform: Option<String>,
    /// How others see them.
    #[arg(long)]
    name: String,
    /// A member of staff: answers guests, whose chats are the installation's and no platform's, and manages
    /// the roles of their own platform.
    #[arg(long)]
    staff: bool,
    /// What tokens made by signing in may do; everything unless given. Repeatable.
    #[arg(long = "ability", value_name = "A")]
    abilities: Vec<String>,
    /// Read the password from standard input. A random one is made and printed otherwise.
    #[arg(long)]
    password_stdin: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    common: Common,
    /// Only the accounts of the platform with that public key.
    #[arg(long, value_name = "KEY")]
    platform: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Switch {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    whose: Whose,
}

/// An account, as arguments name it.
#[derive(Args, Debug)]
pub(super) struct Whose {
    /// The user's address.
    #[arg(long, value_name = "E")]
    user: String,
    /// The public key of the user's platform.
    #[arg(long, value_name = "KEY")]
    platform: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<()> {
    match &options.action {
        Action::Add(add) => block_on(run_add(add)),
        Action::List(list) => block_on(run_list(list)),
        Action::Disable(switch) => block_on(run_switch(switch, false)),
        Action::Enable(switch) => block_on(run_switch(switch, true)),
    }
}

async fn run_add(add: &Add) -> Result<()> {
    let config = add.common.load(None)?;
    let email = email(&add.email)?;
    let abilities = abilities(&add.abilities)?;
    let clock = Clock::system();
    let given = if add.password_stdin { Some(read_password()?) } else { None };
    let password = given.clone().unwrap_or_else(|| clock.secret_word(20));
    let chat = app::open_chat(&config, clock).await?;
    let platform = platform::named(&chat, add.platform.as_deref()).await?;
    let added =
        chat.add_user(platform.as_ref(), email, add.name.clone(), Some(password.clone()), add.staff, abilities).await;
    let user = added.map_err(|error| explain(error, &add.email))?;
    let made = given.is_none().then_some(password);
    if add.json {
        let answer = json!({
            "id": user.id.0, "uuid": user.uuid, "email": user.email.as_str(), "name": user.name,
            "is_staff": user.is_staff, "password": made,
        });
        say(&answer.to_string());
        return Ok(());
    }
    say(&format!("added user {} <{}>{}", user.id, user.email.as_str(), if user.is_staff { ", staff" } else { "" }));
    if let Some(password) = made {
        say(&format!("password: {password} (shown this once)"));
    }
    Ok(())
}

/// Accounts that are read at once.
const PAGE: usize = 500;

async fn run_list(list: &List) -> Result<()> {
    let chat = app::open_chat(&list.common.load(None)?, Clock::system()).await?;
    let platforms = match platform::named(&chat, list.platform.as_deref()).await? {
        Some(platform) => vec![platform],
        None => chat.platforms().await?,
    };
    let key_of = |id: PlatformId| platforms.iter().find(|platform| platform.id == id).map(|platform| platform.key);
    let platform_id = platforms.first().filter(|_| list.platform.is_some()).map(|platform| platform.id);
    let (mut rows, mut after) = (Vec::new(), UserId(0));
    loop {
        let page = chat.users(UserFilter { platform_id, after, limit: PAGE }).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for user in &page {
            let key = user.platform_id.and_then(key_of);
            if list.json {
                rows.push(json!({
                    "id": user.id.0, "uuid": user.uuid, "email": user.email.as_str(), "name": user.name,
                    "platform": key, "is_staff": user.is_staff, "is_active": user.is_active,
                    "is_verified": user.is_verified, "created_at": user.created_at.with_seconds(),
                }));
            } else {
                say(&line(user, key));
            }
        }
    }
    if list.json {
        say(&Value::Array(rows).to_string());
    }
    Ok(())
}

fn line(user: &User, key: Option<uuid::Uuid>) -> String {
    let mut line = format!("{}  {} <{}>", user.id, user.name, user.email.as_str());
    for (is_so, what) in [(user.is_staff, ", staff"), (!user.is_active, ", off"), (!user.is_verified, ", unverified")] {
        line.push_str(if is_so { what } else { "" });
    }
    if let Some(key) = key {
        line.push_str(&format!(", platform {key}"));
    }
    line
}

async fn run_switch(switch: &Switch, is_active: bool) -> Result<()> {
    let chat = app::open_chat(&switch.common.load(None)?, Clock::system()).await?;
    let user = switch.whose.find(&chat).await?;
    let user = chat.set_active(user.id, is_active).await?;
    say(&format!("user {} <{}> is {}", user.id, user.email.as_str(), if is_active { "on" } else { "off" }));
    Ok(())
}

impl Whose {
    /// The account, which without `--platform` has to be one of no platform: what is meant for one
    /// tenant's user must not fall on another's with the same address.
    pub async fn find(&self, chat: &SharedChat) -> Result<User> {
        let email = email(&self.user)?;
        let platform = platform::named(chat, self.platform.as_deref()).await?;
        let found = chat.user_by_email(platform.as_ref(), &email).await?;
        let user = found.ok_or_else(|| Error::internal(format!("{} has no account", self.user)))?;
        if user.platform_id == platform.as_ref().map(|platform: &Platform| platform.id) {
            return Ok(user);
        }
        Err(Error::internal(format!("{} has an account on a platform only: say which with --platform", self.user)))
    }
}

/// The address of an argument.
pub(super) fn email(raw: &str) -> Result<Email> {
    Email::parse(raw).ok_or_else(|| Error::internal(format!("{raw:?} is not an e-mail address")))
}

/// The abilities of the arguments; everything when there are none.
pub(super) fn abilities(raw: &[String]) -> Result<Vec<Ability>> {
    if raw.is_empty() {
        return Ok(vec![Ability::any()]);
    }
    let parse = |word: &String| {
        Ability::parse(word).ok_or_else(|| {
            Error::internal(format!("{word:?} is no ability: use letters, digits and -_.: (at most 64), or *"))
        })
    };
    raw.iter().map(parse).collect()
}

fn read_password() -> Result<String> {
    let mut password = String::new();
    std::io::stdin().lock().take(4096).read_to_string(&mut password).map_err(Error::internal)?;
    let password = password.trim_end_matches(['\n', '\r']).to_owned();
    if (8..=255).contains(&password.chars().count()) {
        Ok(password)
    } else {
        Err(Error::internal("a password has 8 to 255 characters"))
    }
}

fn explain(error: Error, email: &str) -> Error {
    match &error {
        Error::Invalid(fields) if fields.contains(&FieldError { field: "email".into(), rule: Rule::Unique }) => {
            Error::internal(format!("{email} has an account already"))
        }
        _ => error,
    }
}
