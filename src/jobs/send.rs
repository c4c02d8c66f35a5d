//! One post: what is said, how it is signed, and what follows from the answer.

use std::time::{Duration, Instant};

use super::Outbox;
use crate::domain::{Attempt, Content, Delivery, EventId, HookForm, Retries, Scope, Timestamp, Webhook};
use crate::error::{Error, Result};
use crate::hooks::{self, Answered, Post};
use crate::store::webhooks::{AfterAttempt, Tried};

/// Why there is nothing to post.
enum Unsaid {
    /// For good, and why.
    Gone(&'static str),
    /// The store could not say.
    Later(Error),
}

impl From<Error> for Unsaid {
    fn from(error: Error) -> Self {
        Self::Later(error)
    }
}

impl Outbox {
    /// Posts a claimed delivery once and notes how it went.
    ///
    /// # Errors
    /// What the store answers: then the claim lapses, and it is posted again.
    pub(super) async fn deliver(&self, delivery: &Delivery, hook: &Webhook) -> Result<()> {
        let (at, began) = (self.clock.now(), Instant::now());
        let answered = match self.post(delivery, hook, at).await {
            Ok(answered) => answered,
            Err(Unsaid::Later(error)) => return Err(error),
            Err(Unsaid::Gone(why)) => {
                let attempt = Attempt { at, took_ms: 0, status: None, error: Some(why.to_owned()) };
                return self.note(delivery, attempt, AfterAttempt::GiveUp, None).await;
            }
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let then = self.what_follows(delivery, hook, &answered, at);
        let disable = answered.error.as_deref().map(|error| self.disabling(&answered, error));
        let attempt = Attempt { at, took_ms, status: answered.status, error: answered.error };
        self.note(delivery, attempt, then, disable).await
    }

    async fn note(
        &self,
        delivery: &Delivery,
        attempt: Attempt,
        then: AfterAttempt,
        disable: Option<(Timestamp, String)>,
    ) -> Result<()> {
        let (counter, now) = match then {
            AfterAttempt::Delivered => (&self.stats.delivered, self.clock.now()),
            AfterAttempt::Retry(_) => (&self.stats.failed, self.clock.now()),
            AfterAttempt::GiveUp => (&self.stats.given_up, self.clock.now()),
        };
        let tried = Tried { delivery_id: delivery.id, claimer: self.claimer, attempt, then, disable, now };
        if self.store.note_attempt(tried).await? {
            self.count(counter);
        }
        Ok(())
    }

    async fn post(&self, delivery: &Delivery, hook: &Webhook, at: Timestamp) -> Result<Answered, Unsaid> {
        let body = self.body(delivery).await?;
        if body.len() > self.rules.body_bytes_max {
            return Err(Unsaid::Gone("larger than webhooks.body_bytes_max"));
        }
        let headers = match hook.form {
            HookForm::Standard => {
                let id = delivery.public_id();
                let signature = hooks::standard_signature(&hook.keys.at(at), &id, at, &body);
                let second = (at.0 / 1_000_000).to_string();
                vec![("webhook-id", id), ("webhook-timestamp", second), ("webhook-signature", signature)]
            }
            HookForm::Pusher => {
                let platform = match hook.platform_id {
                    Some(id) => self.store.platform(id).await?,
                    None => None,
                };
                let platform = platform.ok_or(Unsaid::Gone("the platform is gone"))?;
                let signature = hooks::hex_hmac(platform.secret.as_bytes(), &body);
                vec![("x-pusher-key", platform.key.to_string()), ("x-pusher-signature", signature)]
            }
        };
        Ok(self.sender.post(Post { url: &hook.url, headers, body }).await)
    }

    /// What is said, as it stands now: what was deleted meanwhile is not told.
    async fn body(&self, delivery: &Delivery) -> Result<Vec<u8>, Unsaid> {
        let (id, conversation_id) = match &delivery.content {
            Content::Happening { what, at } => return Ok((self.render.happening)(what, *at)),
            Content::Event { id, conversation_id } => (*id, *conversation_id),
        };
        let page = self.store.feed(Scope::Conversation(conversation_id), EventId(id.0 - 1), 1).await?;
        let found = page.events.first().filter(|logged| logged.event.id == id);
        let logged = found.ok_or(Unsaid::Gone("the conversation was removed"))?;
        let people = self.chat.people_of(&page.events).await?;
        Ok((self.render.event)(logged, &people))
    }

    fn what_follows(&self, delivery: &Delivery, hook: &Webhook, answered: &Answered, at: Timestamp) -> AfterAttempt {
        if answered.error.is_none() {
            return AfterAttempt::Delivered;
        }
        let retries = match hook.form {
            HookForm::Standard => self.rules.retries,
            HookForm::Pusher => Retries::PUSHER,
        };
        let begun_at = delivery.begun_at.unwrap_or(at);
        let dice = u16::from_ne_bytes(self.clock.secret());
        let now = self.clock.now();
        let next = retries.next(delivery.tries + 1, begun_at, now, dice);
        let asked = answered.retry_after.map(|wait| now.plus(wait.min(retries.longest)));
        // Asked for more time than there is, it is asked once more within it.
        let later = asked.filter(|at| *at <= begun_at.plus(retries.give_up));
        next.map(|next| later.map_or(next, |later| later.max(next))).map_or(AfterAttempt::GiveUp, AfterAttempt::Retry)
    }

    /// Since when an endpoint must have failed to be switched off, and why it is then.
    fn disabling(&self, answered: &Answered, error: &str) -> (Timestamp, String) {
        const HOUR: u64 = 3600;
        if answered.is_gone() {
            return (Timestamp::MAX, "it answered 410: it wants nothing any more".to_owned());
        }
        let hours = Duration::as_secs(&self.rules.disable_after) / HOUR;
        (self.clock.now().minus(self.rules.disable_after), format!("it failed for {hours} hours: {error}"))
    }
}
