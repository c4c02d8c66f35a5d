//! What nodes keep together: rooms, each with what every node has in it.

use std::sync::Arc;

use crate::domain::{PlatformId, UserId};
use crate::realtime::sockets::App;

/// Something of which every node has a part.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Room {
    /// A channel of an app: its subscriptions, and who is there.
    Channel(App, Arc<str>),
    /// A user of an app: their signed-in connections.
    User(App, Arc<str>),
    /// An account: the connections that it has authorised something for.
    Account(UserId),
    /// An app: its connections.
    App(App),
}

impl Room {
    /// Its name among all rooms; [`Self::parse`] reads it.
    pub fn key(&self) -> String {
        match self {
            Self::Channel(app, name) => format!("c/{}/{name}", app.0),
            Self::User(app, user) => format!("u/{}/{user}", app.0),
            Self::Account(user) => format!("o/{}", user.0),
            Self::App(app) => format!("a/{}", app.0),
        }
    }

    /// The room of a name.
    pub fn parse(key: &str) -> Option<Self> {
        let (kind, rest) = key.split_once('/')?;
        match kind {
            "o" => return rest.parse().ok().map(|id| Self::Account(UserId(id))),
            "a" => return rest.parse().ok().map(|id| Self::App(PlatformId(id))),
            _ => {}
        }
        let (app, name) = rest.split_once('/')?;
        let app = PlatformId(app.parse().ok()?);
        match kind {
            "c" => Some(Self::Channel(app, name.into())),
            "u" => Some(Self::User(app, name.into())),
            _ => None,
        }
    }

    /// The topic on which its nodes tell each other of it.
    pub fn topic(&self) -> String {
        format!("{}{}", super::ROOMS, self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let (app, name) = (PlatformId(7), |name: &str| Arc::<str>::from(name));
        for room in [
            Room::Channel(app, name("presence-a;b")),
            Room::User(app, name("ana/{}}: ")),
            Room::User(app, name("")),
            Room::Account(UserId(9)),
            Room::App(app),
        ] {
            assert_eq!(Room::parse(&room.key()), Some(room));
        }
        for wrong in ["", "c", "c/", "c/x/a", "o/", "o/x", "x/1/a"] {
            assert_eq!(Room::parse(wrong), None, "{wrong}");
        }
    }
}
