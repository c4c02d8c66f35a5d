//! Signing in, watching, and what the auth endpoint tells of subscriptions to come.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::socket::Socket;
use super::{App, Appearance, Expected, SignInRefused, SocketId, Sockets, Voucher};
use crate::realtime::nodes::Room;

impl Sockets {
    /// Signs a connection in as a user of its app, once.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn sign_in(&self, socket: &Socket, user_id: &str) -> Result<Appearance, SignInRefused> {
        let mut own = socket.own();
        if own.has_left {
            return Err(SignInRefused::Closing);
        }
        if own.user.is_some() {
            return Err(SignInRefused::Already);
        }
        let entered = self.users.enter(socket, user_id, self.shared.rules.per_user_max);
        let appearance = entered.ok_or(SignInRefused::TooMany)?;
        own.user = Some(user_id.into());
        drop(own);
        self.touch(|| Room::User(socket.app(), user_id.into()), None);
        Ok(appearance)
    }

    /// As whom a connection is signed in.
    pub fn signed_in(&self, socket: &Socket) -> Option<String> {
        socket.own().user.as_deref().map(str::to_owned)
    }

    /// Whether that user has a signed-in connection.
    pub fn is_signed_in(&self, app: App, user_id: &str) -> bool {
        !self.users.sockets(app, user_id).is_empty()
    }

    /// The signed-in connections of a user.
    pub fn sockets_of(&self, app: App, user_id: &str) -> Vec<Socket> {
        self.users.sockets(app, user_id)
    }

    /// Watches users in the place of those it watched before; returns who of them is signed in. How many
    /// it may watch is the caller's to check.
    pub fn watch(&self, socket: &Socket, ids: &[String]) -> Vec<String> {
        let mut own = socket.own();
        if own.has_left {
            return Vec::new();
        }
        let ids: BTreeSet<Arc<str>> = ids.iter().map(|id| id.as_str().into()).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        self.users.unwatch(socket, &own.watching);
        let online = self.users.watch(socket, &ids);
        own.watching = ids;
        online
    }

    /// Says that a connection will soon ask for a channel, and for whom. `false`: there is no such
    /// connection, or it expects as many as it may have channels.
    pub fn expect(&self, app: App, socket: SocketId, channel: &str, expected: Expected) -> bool {
        let Some(socket) = self.find(app, socket) else { return false };
        let max = self.shared.rules.channels_per_socket_max;
        socket.own().expect(channel, expected, max, Instant::now())
    }

    /// What was said with [`Self::expect`] within the last minute; taken. From here on its token vouches for the
    /// connection. One for which more tokens vouch than it may have channels is closed: nobody's would end it.
    pub fn expected(&self, socket: &Socket, channel: &str) -> Option<Expected> {
        let expected = socket.own().expected(channel, Instant::now())?;
        self.vouched(socket, expected)
    }

    /// The same where it was said to another node, and the client brings the proof.
    pub fn vouched(&self, socket: &Socket, expected: Expected) -> Option<Expected> {
        let mut own = socket.own();
        let voucher = Voucher { owner: expected.owner, token_id: expected.token_id };
        if !own.vouch(voucher, self.shared.rules.channels_per_socket_max) {
            drop(own);
            socket.close_refused();
            return None;
        }
        Some(expected)
    }

    /// What vouches for connections, and for which. Looks at every connection.
    pub fn vouchers(&self) -> HashMap<Voucher, Vec<Socket>> {
        let mut vouchers: HashMap<_, Vec<_>> = HashMap::new();
        for socket in self.all() {
            let own = socket.own().vouchers.clone();
            own.into_iter().for_each(|voucher| vouchers.entry(voucher).or_default().push(socket.clone()));
        }
        vouchers
    }
}
