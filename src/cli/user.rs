//! `roost user`.

use std::io::Read;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Common, block_on, say};
use crate::app;
use crate::clock::Clock;
use crate::domain::{Ability, Email};
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
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    common: Common,
    /// The address, unique.
    #[arg(long)]
    email: String,
    /// How others see them.
    #[arg(long)]
    name: String,
    /// A member of staff: answers guests.
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

pub(super) fn run(options: &Options) -> Result<()> {
    match &options.action {
        Action::Add(add) => block_on(run_add(add)),
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
    let added = chat.add_user(None, email, add.name.clone(), Some(password.clone()), add.staff, abilities).await;
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
