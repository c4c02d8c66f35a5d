//! Who is signed in, and who watches whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::shared::lock;
use super::socket::Socket;
use super::{App, Appearance};

/// The signed-in and the watched users of every app.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_app: Mutex<HashMap<App, HashMap<Arc<str>, User>>>,
}

#[derive(Debug, Default)]
struct User {
    sockets: Vec<Socket>,
    watchers: Vec<Socket>,
}

impl Users {
    /// Enters a connection of a user; `None` when they have as many as they may.
    pub fn enter(&self, socket: &Socket, user_id: &str, max: usize) -> Option<Appearance> {
        let mut by_app = lock(&self.by_app);
        let users = by_app.entry(socket.app()).or_default();
        if !users.contains_key(user_id) {
            users.insert(user_id.into(), User::default());
        }
        let user = users.get_mut(user_id)?;
        if user.sockets.len() >= max {
            return None;
        }
        user.sockets.push(socket.clone());
        Some(user.appearance(user_id, user.sockets.len() == 1))
    }

    /// Takes a connection of a user away.
    pub fn leave(&self, socket: &Socket, user_id: &str) -> Option<Appearance> {
        let mut by_app = lock(&self.by_app);
        let user = by_app.get_mut(&socket.app())?.get_mut(user_id)?;
        user.sockets.retain(|other| !other.is(socket));
        let appearance = user.appearance(user_id, user.sockets.is_empty());
        tidy(&mut by_app, socket.app(), user_id);
        Some(appearance)
    }

    /// Watches users; who of them is signed in.
    pub fn watch(&self, socket: &Socket, ids: &[Arc<str>]) -> Vec<String> {
        let mut by_app = lock(&self.by_app);
        let users = by_app.entry(socket.app()).or_default();
        let mut online = Vec::new();
        for id in ids {
            let user = users.entry(Arc::clone(id)).or_default();
            user.watchers.push(socket.clone());
            if !user.sockets.is_empty() {
                online.push(id.to_string());
            }
        }
        online
    }

    /// Watches nobody any more.
    pub fn unwatch(&self, socket: &Socket, ids: &[Arc<str>]) {
        let mut by_app = lock(&self.by_app);
        for id in ids {
            let user = by_app.get_mut(&socket.app()).and_then(|users| users.get_mut(id));
            if let Some(user) = user {
                user.watchers.retain(|other| !other.is(socket));
                tidy(&mut by_app, socket.app(), id);
            }
        }
    }

    /// The connections of a user.
    pub fn sockets(&self, app: App, user_id: &str) -> Vec<Socket> {
        let by_app = lock(&self.by_app);
        let user = by_app.get(&app).and_then(|users| users.get(user_id));
        user.map(|user| user.sockets.clone()).unwrap_or_default()
    }

    /// Whether nothing is held.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        lock(&self.by_app).is_empty()
    }
}

impl User {
    fn appearance(&self, user_id: &str, is_change: bool) -> Appearance {
        let watchers = if is_change { self.watchers.clone() } else { Vec::new() };
        Appearance { user_id: user_id.to_owned(), is_change, watchers }
    }
}

/// Lets go of a user whom nobody needs.
fn tidy(by_app: &mut HashMap<App, HashMap<Arc<str>, User>>, app: App, user_id: &str) {
    let Some(users) = by_app.get_mut(&app) else { return };
    if users.get(user_id).is_some_and(|user| user.sockets.is_empty() && user.watchers.is_empty()) {
        users.remove(user_id);
    }
    if users.is_empty() {
        by_app.remove(&app);
    }
}
