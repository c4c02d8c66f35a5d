//! `roost webhook`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Common, block_on, platform, say};
use crate::app;
use crate::chat::{DeliveryFilter, HookEdit, HookOwner, Replay, SharedChat, WebhookDraft};
use crate::clock::Clock;
use crate::domain::{
    Delivery, DeliveryId, DeliveryState, EventId, EventType, Happening, HookForm, Timestamp, Webhook, WebhookId,
};
use crate::error::{Error, FieldError, Result, Rule, Subject};

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an endpoint that is told what happens.
    Add(Add),
    /// Show the endpoints.
    List(List),
    /// Remove an endpoint and what is on its way to it.
    Remove(Which),
    /// Switch an endpoint off: it is told nothing until it is switched on.
    Disable(Which),
    /// Switch an endpoint on: it goes on where it was.
    Enable(Which),
    /// Give an endpoint a new key; the one before signs beside it for a day.
    Rotate(Which),
    /// Show what an endpoint was told or is to be told, newest first.
    Deliveries(Deliveries),
    /// Tell an endpoint again.
    Replay(Again),
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    common: Common,
    /// Where it is.
    #[arg(long)]
    url: String,
    /// The public key of the platform whose conversations it hears of. Unless given it hears of live chats and
    /// assistant sessions, which are the installation's and no platform's.
    #[arg(long, value_name = "KEY")]
    platform: Option<String>,
    /// standard: events of the log, as Standard Webhooks; pusher: what happens on a platform's channels, as Pusher's.
    #[arg(long, value_name = "FORM", default_value = "standard")]
    form: String,
    /// Which types it wants; all of them unless given. Repeatable.
    #[arg(long = "type", value_name = "T")]
    kinds: Vec<String>,
    /// It is told of what comes after this cursor; of what comes from now on unless given.
    #[arg(long, value_name = "CURSOR", value_parser = clap::value_parser!(i64).range(0..))]
    after: Option<i64>,
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
struct Which {
    #[command(flatten)]
    common: Common,
    /// The endpoint's number.
    id: i64,
}

#[derive(Args, Debug)]
struct Deliveries {
    #[command(flatten)]
    which: Which,
    /// Only those: waiting, due, delivered or failed.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Again {
    #[command(flatten)]
    which: Which,
    /// That delivery, however it ended.
    #[arg(long, value_name = "N", conflicts_with = "after")]
    delivery: Option<i64>,
    /// Those that failed, of events after that cursor; every one unless given.
    #[arg(long, value_name = "CURSOR", default_value_t = 0)]
    after: i64,
}

pub(super) fn run(options: &Options) -> Result<()> {
    match &options.action {
        Action::Add(add) => block_on(run_add(add)),
        Action::List(list) => block_on(run_list(list)),
        Action::Remove(which) => block_on(run_remove(which)),
        Action::Disable(which) => block_on(run_switch(which, false)),
        Action::Enable(which) => block_on(run_switch(which, true)),
        Action::Rotate(which) => block_on(run_rotate(which)),
        Action::Deliveries(deliveries) => block_on(run_deliveries(deliveries)),
        Action::Replay(again) => block_on(run_replay(again)),
    }
}

async fn open(common: &Common) -> Result<SharedChat> {
    app::open_chat(&common.load(None)?, Clock::system()).await
}

async fn run_add(add: &Add) -> Result<()> {
    let chat = open(&add.common).await?;
    let platform = platform::named(&chat, add.platform.as_deref()).await?;
    let form = HookForm::parse(&add.form)
        .ok_or_else(|| Error::internal(format!("{:?} is none of {}", add.form, HookForm::NAMES.join(", "))))?;
    let draft = WebhookDraft { url: add.url.clone(), form, kinds: add.kinds.clone(), after: add.after.map(EventId) };
    let hook = chat.add_webhook(platform.map(|platform| platform.id), draft).await.map_err(explain)?;
    let key = chat.webhook_key(&hook);
    if add.json {
        say(&json!({"id": hook.id.0, "secret": key}).to_string());
        return Ok(());
    }
    say(&format!("added webhook {} {}", hook.id, hook.url));
    say_key(key);
    Ok(())
}

fn say_key(key: Option<String>) {
    match key {
        Some(key) => say(&format!("secret: {key} (shown this once)")),
        None => say("signed with the platform's secret"),
    }
}

async fn run_list(list: &List) -> Result<()> {
    let chat = open(&list.common).await?;
    let hooks = chat.webhooks(HookOwner::Anybody).await?;
    if list.json {
        say(&hooks.iter().map(described).collect::<Value>().to_string());
    } else {
        hooks.iter().for_each(|hook| say(&line(hook)));
    }
    Ok(())
}

fn described(hook: &Webhook) -> Value {
    json!({
        "id": hook.id.0, "url": hook.url, "platform_id": hook.platform_id.map(|id| id.0),
        "form": hook.form.as_str(), "types": hook.kinds, "cursor": hook.cursor.0, "open": hook.open,
        "failing_since": hook.failing_since.map(Timestamp::with_seconds),
        "last_delivered_at": hook.delivered_at.map(Timestamp::with_seconds),
        "disabled_reason": hook.disabled.as_ref().map(|disabled| &disabled.why),
        "created_at": hook.created_at.with_seconds(),
    })
}

fn line(hook: &Webhook) -> String {
    let mut line = format!("{}  {} ({}), {} on the way", hook.id, hook.url, hook.form.as_str(), hook.open);
    if let Some(platform) = hook.platform_id {
        line.push_str(&format!(", platform {platform}"));
    }
    if let Some(since) = hook.failing_since {
        line.push_str(&format!(", failing since {}", since.with_seconds()));
    }
    if let Some(disabled) = &hook.disabled {
        line.push_str(&format!(", off since {}: {}", disabled.at.with_seconds(), disabled.why));
    }
    line
}

async fn run_remove(which: &Which) -> Result<()> {
    open(&which.common).await?.remove_webhook(HookOwner::Anybody, WebhookId(which.id)).await.map_err(explain)?;
    say(&format!("webhook {} is removed", which.id));
    Ok(())
}

async fn run_switch(which: &Which, is_on: bool) -> Result<()> {
    let chat = open(&which.common).await?;
    let disabled = Some((!is_on).then(|| chat.disabled_by_hand()));
    let edit = HookEdit { disabled, ..HookEdit::default() };
    chat.edit_webhook(HookOwner::Anybody, WebhookId(which.id), edit).await.map_err(explain)?;
    say(&format!("webhook {} is {}", which.id, if is_on { "on" } else { "off" }));
    Ok(())
}

async fn run_rotate(which: &Which) -> Result<()> {
    let chat = open(&which.common).await?;
    let hook = chat.rotate_webhook(HookOwner::Anybody, WebhookId(which.id)).await.map_err(explain)?;
    say_key(chat.webhook_key(&hook));
    Ok(())
}

async fn run_deliveries(options: &Deliveries) -> Result<()> {
    let state = options.state.as_deref().map(|name| {
        let unknown = || Error::internal(format!("{name:?} is none of {}", DeliveryState::NAMES.join(", ")));
        DeliveryState::parse(name).ok_or_else(unknown)
    });
    let filter = DeliveryFilter { state: state.transpose()?, before: None, limit: options.limit };
    let chat = open(&options.which.common).await?;
    let page = chat.deliveries(HookOwner::Anybody, WebhookId(options.which.id), filter).await.map_err(explain)?;
    if options.json {
        say(&page.iter().map(told).collect::<Value>().to_string());
    } else {
        page.iter().for_each(|delivery| say(&told_line(delivery)));
    }
    Ok(())
}

fn told(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id.0, "event_id": delivery.public_id(), "type": delivery.kind,
        "state": delivery.state.as_str(), "attempts": delivery.attempts, "last_status": delivery.last_status,
        "last_error": delivery.last_error, "created_at": delivery.created_at.with_seconds(),
        "ended_at": delivery.ended_at.map(Timestamp::with_seconds),
    })
}

fn told_line(delivery: &Delivery) -> String {
    let mut line = format!(
        "{}  {} {} {}, {} tries",
        delivery.id,
        delivery.public_id(),
        delivery.kind,
        delivery.state.as_str(),
        delivery.attempts
    );
    if let Some(error) = &delivery.last_error {
        line.push_str(&format!(", {error}"));
    }
    if delivery.state == DeliveryState::Due {
        line.push_str(&format!(", next {}", delivery.due_at.with_seconds()));
    }
    line
}

async fn run_replay(again: &Again) -> Result<()> {
    let chat = open(&again.which.common).await?;
    let which = again.delivery.map_or(Replay::FailedSince(EventId(again.after)), |id| Replay::One(DeliveryId(id)));
    let count = chat.replay(HookOwner::Anybody, WebhookId(again.which.id), which).await.map_err(explain)?;
    say(&format!("{count} queued again"));
    Ok(())
}

fn explain(error: Error) -> Error {
    let said = match &error {
        Error::NotFound(Subject::Webhook) => "there is no such webhook".to_owned(),
        Error::NotFound(Subject::Delivery) => "there is no such delivery".to_owned(),
        Error::Invalid(fields) => fields.iter().map(sentence).collect::<Vec<_>>().join("; "),
        _ => return error,
    };
    Error::internal(said)
}

fn sentence(error: &FieldError) -> String {
    match &error.rule {
        Rule::PublicAddress => "the address leads into a private network: see webhooks.allow_private".to_owned(),
        Rule::CountMax(max) => format!("there are {max} already: see webhooks.per_owner_max"),
        Rule::OneOf { got, .. } => {
            let known = [EventType::NAMES.join(", "), Happening::NAMES.join(", ")];
            format!("{got:?} is no type; standard: {}; pusher: {}", known[0], known[1])
        }
        Rule::Exists => "the cursor is beyond the end of the log".to_owned(),
        _ if error.field == "form" => "an endpoint in Pusher's form is a platform's and has its key".to_owned(),
        _ if error.field == "url" => "the address must be one of http or https, without a name and password".to_owned(),
        _ => format!("{} is not valid", error.field),
    }
}
