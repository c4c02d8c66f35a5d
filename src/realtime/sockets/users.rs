//! Who is signed in, and who watches whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::far::{Far, Took};
use super::shared::lock;
use super::socket::Socket;
use super::{App, Appearance};
use crate::realtime::nodes::Room;

/// The signed-in and the watched users of every app.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_app: Mutex<HashMap<App, HashMap<Arc<str>, User>>>,
}

#[derive(Debug, Default)]
pub(super) struct User {
    sockets: Vec<Socket>,
    watchers: Vec<Socket>,
    /// What other nodes have of them; `None` where there are none, or they were not asked.
    pub far: Option<Box<Far>>,
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
        Some(user.appearance(user_id, user.sockets.len() == 1 && !user.is_elsewhere()))
    }

    /// Takes a connection of a user away.
    pub fn leave(&self, socket: &Socket, user_id: &str) -> Option<Appearance> {
        let mut by_app = lock(&self.by_app);
        let user = by_app.get_mut(&socket.app())?.get_mut(user_id)?;
        user.sockets.retain(|other| !other.is(socket));
        let appearance = user.appearance(user_id, user.sockets.is_empty() && !user.is_elsewhere());
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
            if !user.sockets.is_empty() || user.is_elsewhere() {
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

    /// Looks at a user, if there is anything to see.
    pub fn with<T>(&self, app: App, user_id: &str, look: impl FnOnce(&User) -> T) -> Option<T> {
        lock(&self.by_app).get(&app)?.get(user_id).map(look)
    }

    /// Looks at what other nodes have of a user.
    pub fn with_far<T>(&self, app: App, user_id: &str, look: impl FnOnce(&mut Option<Box<Far>>) -> T) -> T {
        let mut by_app = lock(&self.by_app);
        let user = by_app.entry(app).or_default().entry(user_id.into()).or_default();
        let looked = look(&mut user.far);
        tidy(&mut by_app, app, user_id);
        looked
    }

    /// Changes what other nodes have of a user, if they were asked; whether the user came or left by it.
    pub fn change_far(
        &self,
        app: App,
        user_id: &str,
        change: impl FnOnce(&mut Far) -> Result<(), Took>,
    ) -> Result<Option<(Appearance, bool)>, Took> {
        let mut by_app = lock(&self.by_app);
        let user = by_app.get_mut(&app).and_then(|users| users.get_mut(user_id));
        let Some(user) = user else { return Ok(None) };
        let was_there = user.is_elsewhere();
        let Some(far) = &mut user.far else { return Ok(None) };
        change(far)?;
        let is_there = user.is_elsewhere();
        if !user.sockets.is_empty() || was_there == is_there {
            return Ok(None);
        }
        Ok(Some((user.appearance(user_id, true), is_there)))
    }

    /// Every user of whom other nodes were asked.
    pub fn far_rooms(&self) -> Vec<Room> {
        self.rooms(|user| user.far.is_some())
    }

    /// Every user who has a connection here.
    pub fn own_rooms(&self) -> Vec<Room> {
        self.rooms(|user| !user.sockets.is_empty())
    }

    fn rooms(&self, is: impl Fn(&User) -> bool) -> Vec<Room> {
        let by_app = lock(&self.by_app);
        let all = by_app.iter().flat_map(|(app, users)| users.iter().map(|(id, user)| (*app, id, user)));
        all.filter(|(_, _, user)| is(user)).map(|(app, id, _)| Room::User(app, Arc::clone(id))).collect()
    }

    /// Forgets what other nodes have of users whom nobody here needs.
    pub fn leave_far(&self, is_over: impl Fn(&Option<Box<Far>>) -> bool, mut left: impl FnMut(&Room)) {
        let mut by_app = lock(&self.by_app);
        for (app, users) in by_app.iter_mut() {
            users.retain(|id, user| {
                let is_needed = !user.sockets.is_empty() || !user.watchers.is_empty();
                if !is_needed && is_over(&user.far) {
                    left(&Room::User(*app, Arc::clone(id)));
                    return false;
                }
                true
            });
        }
        by_app.retain(|_, users| !users.is_empty());
    }

    /// Whether nothing is held.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        lock(&self.by_app).is_empty()
    }
}

impl User {
    fn is_elsewhere(&self) -> bool {
        self.far.as_ref().is_some_and(|far| far.count() > 0)
    }

    fn appearance(&self, user_id: &str, is_change: bool) -> Appearance {
        let watchers = if is_change { self.watchers.clone() } else { Vec::new() };
        Appearance { user_id: user_id.to_owned(), is_change, watchers }
    }
}

/// Lets go of a user whom nobody needs.
fn tidy(by_app: &mut HashMap<App, HashMap<Arc<str>, User>>, app: App, user_id: &str) {
    let Some(users) = by_app.get_mut(&app) else { return };
    let is_needed = |user: &User| !user.sockets.is_empty() || !user.watchers.is_empty() || user.far.is_some();
    if users.get(user_id).is_some_and(|user| !is_needed(user)) {
        users.remove(user_id);
    }
    if users.is_empty() {
        by_app.remove(&app);
    }
}
