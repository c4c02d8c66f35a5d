//! Connections of apps: whose they are, what their subscriptions begin from, and who is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Chat;
use crate::domain::{Access, EventId, Platform, PlatformId, UserId};
use crate::error::{Error, Refusal, Result};
use crate::realtime::Online;
use crate::realtime::sockets::{Expected, Socket, SocketId, Sockets};

/// Tells a subscriber what was missed.
pub trait Resume: Send + Sync {
    /// The subscription is held. Sends what came after `since`, then ends the hold
    /// ([`Sockets::release`]). Must not block: what takes time it spawns.
    fn resume(&self, socket: &Socket, channel: String, since: EventId, owner: UserId);

    /// How far the log has been told on a channel: from where on who subscribes now would come back. `None`
    /// for channels that it tells nothing on.
    fn told_through(&self, channel: &str) -> Option<EventId>;
}

/// How long an app is known without looking at the store.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// Apps that are known at once.
const KNOWN_MAX: usize = 1024;

/// What was read of apps a moment ago: thousands of connections that come at once are one look.
#[derive(Default)]
pub(super) struct Apps(Mutex<HashMap<Uuid, (Instant, Arc<Platform>)>>);

impl Apps {
    fn get(&self, key: Uuid) -> Option<Arc<Platform>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, app) = known.get(&key)?;
        (at.elapsed() < KNOWN_FOR).then(|| Arc::clone(app))
    }

    /// By number: looked for among all that are known, which are as a rule a few.
    fn numbered(&self, id: PlatformId) -> Option<Arc<Platform>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, app) = known.values().find(|(_, app)| app.id == id)?;
        (at.elapsed() < KNOWN_FOR).then(|| Arc::clone(app))
    }

    fn put(&self, app: &Arc<Platform>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(app.key, (Instant::now(), Arc::clone(app)));
    }
}

impl Chat {
    /// The tenant of a public key, as it was within the last seconds.
    ///
    /// # Errors
    /// `Forbidden(UnknownPlatform)`.
    pub async fn app(&self, key: Uuid) -> Result<Arc<Platform>> {
        if let Some(known) = self.apps.get(key) {
            return Ok(known);
        }
        let app = Arc::new(self.platform(key).await?);
        self.apps.put(&app);
        Ok(app)
    }

    /// The same of a number.
    ///
    /// # Errors
    /// `Forbidden(UnknownPlatform)`.
    pub async fn app_numbered(&self, id: PlatformId) -> Result<Arc<Platform>> {
        if let Some(known) = self.apps.numbered(id) {
            return Ok(known);
        }
        let app = Arc::new(self.platform_numbered(id).await?.ok_or(Error::Forbidden(Refusal::UnknownPlatform))?);
        self.apps.put(&app);
        Ok(app)
    }

    /// The connections.
    pub fn sockets(&self) -> &Arc<Sockets> {
        &self.sockets
    }

    /// Who is there.
    pub fn online(&self) -> &Arc<Online> {
        &self.online
    }

    /// Notes who will subscribe to a channel on that connection, and from where on. A name that is no
    /// connection's is no harm: the subscription then begins with what comes. Where there are other nodes the
    /// connection may be on one of them: then this is what the client has to bring along.
    pub fn expect_subscription(
        &self,
        access: &Access,
        socket: &str,
        channel: &str,
        since: Option<EventId>,
    ) -> Option<Expected> {
        let expected = Expected { since, owner: access.user.id, token_id: access.token_id };
        let (app, socket) = (access.user.platform_id?, socket.parse::<SocketId>().ok()?);
        let is_here = self.sockets.expect(app, socket, channel, expected);
        (!is_here && self.rules.is_one_of_many).then_some(expected)
    }

    /// Closes the connections whose subscriptions were authorised by a token that was revoked or has ended since,
    /// or of an account that is switched off.
    ///
    /// # Errors
    /// What the store answers; the rest is for the next time.
    pub async fn end_refused_connections(&self) -> Result<()> {
        for (voucher, sockets) in self.sockets.vouchers() {
            if !self.is_valid(voucher.token_id, voucher.owner).await? {
                sockets.iter().for_each(Socket::close_refused);
            }
        }
        Ok(())
    }
}
