//! Endpoints that are told what happens: made and changed by who owns them, read by who wants to know what became of
//! it all.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use uuid::Uuid;

use super::Chat;
use crate::domain::{
    Attempt, Content, Delivery, DeliveryId, Disabled, EventId, EventType, Happened, HookForm, HookKey, HookKeys,
    Logged, PlatformId, Scope, Timestamp, UserId, Webhook, WebhookId,
};
use crate::error::{Error, FieldError, Result, Rule, Subject};
use crate::hooks::{self, AddressError};
use crate::store::FeedPage;
use crate::store::webhooks::{DELIVERIES_AT_ONCE, DeliveryFilter, HookEdit, HookOwner, HookReplay, NewWebhook};

/// The rules for endpoints that an operator can set.
#[derive(Clone, Debug)]
pub struct WebhookRules {
    /// Whether an endpoint may be in a private network.
    pub allow_private: bool,
    /// Endpoints of one owner.
    pub per_owner_max: usize,
    /// What is on its way to one endpoint at the most; what comes after waits in the log, or is dropped when it is in
    /// none.
    pub open_max: u64,
}

/// An endpoint to be.
#[derive(Clone, Debug)]
pub struct WebhookDraft {
    /// Where it is.
    pub url: String,
    /// How it is spoken to.
    pub form: HookForm,
    /// Which types it wants; none: every one.
    pub kinds: Vec<String>,
    /// It is told of what comes after this event; `None`: of what comes from now on.
    pub after: Option<EventId>,
}

/// What is known of endpoints without a look at the store.
#[derive(Debug, Default)]
pub(super) struct Hooked {
    /// Platforms whose sockets somebody wants to hear of.
    platforms: Mutex<HashSet<PlatformId>>,
    /// Rung when there may be something to send.
    bell: Notify,
}

impl Hooked {
    fn set(&self, platforms: HashSet<PlatformId>) {
        *self.platforms.lock().unwrap_or_else(PoisonError::into_inner) = platforms;
    }

    fn has(&self, platform: PlatformId) -> bool {
        self.platforms.lock().unwrap_or_else(PoisonError::into_inner).contains(&platform)
    }
}

impl Chat {
    /// Makes an endpoint of a platform, or of the operator (`None`): it hears of the platform's conversations, or of
    /// live chats and assistant sessions. The key is the endpoint's; in Pusher's form the platform's secret signs.
    ///
    /// # Errors
    /// `Invalid`: `url` (valid, public address, chars max, count max), `form` (valid: Pusher's form is a platform's),
    /// `types` (one of), `after` (exists).
    pub async fn add_webhook(&self, platform: Option<PlatformId>, draft: WebhookDraft) -> Result<Webhook> {
        let mut wrong = self.wrong_url(&draft.url);
        wrong.extend(wrong_kinds(draft.form, &draft.kinds));
        if draft.form == HookForm::Pusher && platform.is_none() {
            wrong.push(FieldError { field: "form".into(), rule: Rule::Valid });
        }
        if let Some(after) = draft.after
            && self.beyond_the_log(after).await?
        {
            wrong.push(FieldError { field: "after".into(), rule: Rule::Exists });
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let new = NewWebhook {
            platform_id: platform,
            url: draft.url,
            form: draft.form,
            kinds: draft.kinds,
            key: HookKey(self.clock.secret()),
            after: draft.after,
            count_max: self.rules.webhooks.per_owner_max,
            at: self.clock.now(),
        };
        let added = self.store.add_webhook(new).await?;
        self.look_at_webhooks().await?;
        self.hooked.bell.notify_one();
        Ok(added)
    }

    /// An owner's endpoints, the oldest first.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn webhooks(&self, owner: HookOwner) -> Result<Vec<Webhook>> {
        self.store.webhooks(owner).await
    }

    /// One endpoint.
    ///
    /// # Errors
    /// `NotFound(Webhook)`, also when it is somebody else's.
    pub async fn webhook(&self, owner: HookOwner, id: WebhookId) -> Result<Webhook> {
        self.store.webhook(owner, id).await?.ok_or(Error::NotFound(Subject::Webhook))
    }

    /// Changes where an endpoint is, what it wants, or whether it is told at all: switched on, it goes on where it was.
    ///
    /// # Errors
    /// As [`Chat::webhook`]; `Invalid` as in [`Chat::add_webhook`].
    pub async fn edit_webhook(&self, owner: HookOwner, id: WebhookId, edit: HookEdit) -> Result<Webhook> {
        let there = self.webhook(owner, id).await?;
        let mut wrong = edit.url.as_deref().map(|url| self.wrong_url(url)).unwrap_or_default();
        wrong.extend(edit.kinds.as_deref().and_then(|kinds| wrong_kinds(there.form, kinds)));
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let edited = self.store.edit_webhook(owner, id, edit, self.clock.now()).await?;
        self.look_at_webhooks().await?;
        self.hooked.bell.notify_one();
        edited.ok_or(Error::NotFound(Subject::Webhook))
    }

    /// What is switched off by hand.
    pub fn disabled_by_hand(&self) -> Disabled {
        Disabled { at: self.clock.now(), why: "switched off".to_owned() }
    }

    /// Gives an endpoint a new key; the one before signs beside it for a day.
    ///
    /// # Errors
    /// As [`Chat::webhook`]; `Invalid` (`form`, valid) in Pusher's form, which has no key of its own.
    pub async fn rotate_webhook(&self, owner: HookOwner, id: WebhookId) -> Result<Webhook> {
        if self.webhook(owner, id).await?.form == HookForm::Pusher {
            return Err(Error::field("form", Rule::Valid));
        }
        let key = (HookKey(self.clock.secret()), self.clock.now().plus(HookKeys::OVERLAP));
        self.edit_webhook(owner, id, HookEdit { key: Some(key), ..HookEdit::default() }).await
    }

    /// An endpoint's key as its receiver has to know it; none in Pusher's form.
    pub fn webhook_key(&self, hook: &Webhook) -> Option<String> {
        (hook.form == HookForm::Standard).then(|| hooks::key_text(&hook.keys.current))
    }

    /// Removes an endpoint and what is on its way to it. Cut off in its middle it leaves the endpoint switched off, to
    /// be removed again.
    ///
    /// # Errors
    /// As [`Chat::webhook`].
    pub async fn remove_webhook(&self, owner: HookOwner, id: WebhookId) -> Result<()> {
        while self.store.clear_webhook(owner, id, self.clock.now()).await? == DELIVERIES_AT_ONCE {}
        let was_there = self.store.remove_webhook(owner, id).await?;
        self.look_at_webhooks().await?;
        if was_there { Ok(()) } else { Err(Error::NotFound(Subject::Webhook)) }
    }

    /// A page of what an endpoint was told or is to be told, newest first.
    ///
    /// # Errors
    /// As [`Chat::webhook`].
    pub async fn deliveries(&self, owner: HookOwner, id: WebhookId, filter: DeliveryFilter) -> Result<Vec<Delivery>> {
        self.webhook(owner, id).await?;
        self.store.deliveries(id, filter).await
    }

    /// The tries of one delivery, in order.
    ///
    /// # Errors
    /// As [`Chat::webhook`]; `NotFound(Delivery)`.
    pub async fn attempts(&self, owner: HookOwner, id: WebhookId, delivery: DeliveryId) -> Result<Vec<Attempt>> {
        self.webhook(owner, id).await?;
        self.store.attempts(id, delivery).await?.ok_or(Error::NotFound(Subject::Delivery))
    }

    /// Tells an endpoint again; how many deliveries that are.
    ///
    /// # Errors
    /// As [`Chat::webhook`]; `NotFound(Delivery)` when the one that is named is not there.
    pub async fn replay(&self, owner: HookOwner, id: WebhookId, which: HookReplay) -> Result<usize> {
        self.webhook(owner, id).await?;
        let mut replayed = 0;
        loop {
            let queued = self.store.replay_deliveries(id, which, self.clock.now()).await?;
            replayed += queued;
            if queued < DELIVERIES_AT_ONCE {
                break;
            }
        }
        if replayed == 0 && matches!(which, HookReplay::One(_)) {
            return Err(Error::NotFound(Subject::Delivery));
        }
        self.hooked.bell.notify_one();
        Ok(replayed)
    }

    /// Whether anybody wants to hear of a platform's sockets: without a look at the store, so that who asks for every
    /// frame pays nothing. An endpoint that another process made is known within seconds.
    pub fn wants_happenings(&self, platform: PlatformId) -> bool {
        self.hooked.has(platform)
    }

    /// Tells those endpoints of platforms in Pusher's form that want it what happened on the channels of their sockets,
    /// and when. It is on disk when this returns. An endpoint that has too much on its way already is not told.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn webhook_happened(&self, happened: Vec<(PlatformId, Happened, Timestamp)>) -> Result<usize> {
        let contents = happened.into_iter().map(|(platform, what, at)| (platform, Content::Happening { what, at }));
        self.store.queue_happened(contents.collect(), self.rules.webhooks.open_max).await
    }

    /// Makes who waits at [`Chat::webhook_bell`] look.
    pub fn ring_webhook_bell(&self) {
        self.hooked.bell.notify_one();
    }

    /// Reads anew which platforms' sockets somebody wants to hear of.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn look_at_webhooks(&self) -> Result<Vec<Webhook>> {
        let hooks = self.store.webhooks(HookOwner::Anybody).await?;
        let listening = hooks.iter().filter(|hook| hook.form == HookForm::Pusher && hook.disabled.is_none());
        self.hooked.set(listening.filter_map(|hook| hook.platform_id).collect());
        Ok(hooks)
    }

    /// Waits until somebody has something to send by webhook.
    pub fn webhook_bell(&self) -> Notified<'_> {
        self.hooked.bell.notified()
    }

    /// What happened in a platform's conversations after a cursor: at most `limit` events, and perhaps none although
    /// there are more.
    ///
    /// # Errors
    /// `Invalid` (`after`, exists) for a cursor beyond the end of the log: it is from another store, or from before a
    /// backup was put back.
    pub async fn platform_feed(&self, platform: PlatformId, after: EventId, limit: usize) -> Result<FeedPage> {
        /// How many pages of other platforms' events are passed over before the caller is asked to come again.
        const PASSED_MAX: usize = 16;
        if self.beyond_the_log(after).await? {
            return Err(Error::field("after", Rule::Exists));
        }
        let mut page = self.store.feed(Scope::Platform(platform), after, limit).await?;
        for _ in 0..PASSED_MAX {
            if page.is_end || !page.events.is_empty() {
                break;
            }
            page = self.store.feed(Scope::Platform(platform), page.through, limit).await?;
        }
        Ok(page)
    }

    /// What outsiders know those by whom events name.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn people_of(&self, events: &[Logged]) -> Result<HashMap<UserId, Uuid>> {
        let mut people = HashMap::new();
        for user in events.iter().flat_map(|logged| logged.event.users()) {
            if !people.contains_key(&user)
                && let Some(found) = self.store.user(user).await?
            {
                people.insert(user, found.uuid);
            }
        }
        Ok(people)
    }

    async fn beyond_the_log(&self, cursor: EventId) -> Result<bool> {
        Ok(cursor > EventId::START && cursor > self.store.newest_event().await?)
    }

    fn wrong_url(&self, url: &str) -> Vec<FieldError> {
        let rule = match hooks::check_url(url, self.rules.webhooks.allow_private) {
            _ if url.chars().count() > Webhook::URL_CHARS_MAX => Rule::CharsMax(Webhook::URL_CHARS_MAX),
            Ok(()) => return Vec::new(),
            Err(AddressError::Malformed) => Rule::Valid,
            Err(AddressError::Private) => Rule::PublicAddress,
        };
        vec![FieldError { field: "url".into(), rule }]
    }
}

/// The first type that the form does not have.
fn wrong_kinds(form: HookForm, kinds: &[String]) -> Option<FieldError> {
    let choices = match form {
        HookForm::Standard => EventType::NAMES,
        HookForm::Pusher => Happened::NAMES,
    };
    let got = kinds.iter().find(|kind| !choices.contains(&kind.as_str()))?.clone();
    Some(FieldError { field: "types".into(), rule: Rule::OneOf { got, choices } })
}
