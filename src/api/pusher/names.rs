//! Names: what kind of channel a name is of, and what a name may look like (Pusher Channels protocol 7).

/// Longest name of a channel, in characters.
pub const CHANNEL_CHARS_MAX: usize = 164;
/// Longest name of an event, in characters.
pub const EVENT_CHARS_MAX: usize = 200;
/// Longest id of a user, in characters.
pub const USER_CHARS_MAX: usize = 128;
/// Longest name of a socket: two numbers of 64 bits.
pub const SOCKET_CHARS_MAX: usize = 41;

/// The beginning of a signed-in user's own channel. Only the server makes such names.
const SERVER_TO_USER: &str = "#server-to-user-";

/// The channel that is a user's own.
pub fn own_channel(user: &str) -> String {
    format!("{SERVER_TO_USER}{user}")
}

/// What a channel's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Who may subscribe.
    pub door: Door,
    /// Whether its last event is told to who subscribes.
    pub keeps: bool,
}

/// Who may subscribe to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Everybody.
    Public,
    /// Who has a signature.
    Private,
    /// The same; the events are sealed for the subscribers, and the server cannot read them.
    Encrypted,
    /// Who has a signature that says who they are; subscribers see each other.
    Presence,
    /// Only who is signed in as that user.
    User,
}

impl Kind {
    /// The kind of a name, which is not looked at otherwise.
    pub fn of(name: &str) -> Self {
        let kind = |door, keeps| Self { door, keeps };
        let starts = |prefix: &str| name.starts_with(prefix);
        if starts(SERVER_TO_USER) {
            kind(Door::User, false)
        } else if starts("private-encrypted-") {
            kind(Door::Encrypted, starts("private-encrypted-cache-"))
        } else if starts("private-") {
            kind(Door::Private, starts("private-cache-"))
        } else if starts("presence-") {
            kind(Door::Presence, starts("presence-cache-"))
        } else {
            kind(Door::Public, starts("cache-"))
        }
    }

    /// Whether who subscribes has to show a signature.
    pub fn wants_signature(self) -> bool {
        matches!(self.door, Door::Private | Door::Encrypted | Door::Presence)
    }

    /// Whether its subscribers may send events to each other. What subscribers of an encrypted channel send
    /// would not be sealed.
    pub fn takes_client_events(self) -> bool {
        matches!(self.door, Door::Private | Door::Presence)
    }

    /// Whether its subscribers see each other.
    pub fn is_presence(self) -> bool {
        self.door == Door::Presence
    }
}

/// Whether a channel is one of ours on which its subscribers have nothing to say to each other: they may be a
/// whole platform.
pub fn is_announcing(name: &str) -> bool {
    ["private-users.", "private-platform."].iter().any(|own| name.starts_with(own)) || name == "private-backoffice"
}

/// Whether that may be a channel's name: 1 to 164 letters and digits of ASCII and `-_=@,.;`, and `#` in
/// front of names that only the server makes.
pub fn is_channel(name: &str) -> bool {
    let rest = match user_of(name) {
        Some(user) => return is_user(user),
        None => name,
    };
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=@,.;".contains(&byte);
    !rest.is_empty() && rest.len() <= CHANNEL_CHARS_MAX && rest.bytes().all(is_legal)
}

/// The user whose own channel that is.
pub fn user_of(channel: &str) -> Option<&str> {
    channel.strip_prefix(SERVER_TO_USER)
}

/// A user's own channel.
pub fn channel_of(user: &str) -> String {
    format!("{SERVER_TO_USER}{user}")
}

/// Whether that may be a user's id: 1 to 128 characters, none of them control characters.
pub fn is_user(id: &str) -> bool {
    !id.is_empty() && id.chars().take(USER_CHARS_MAX + 1).count() <= USER_CHARS_MAX && !id.chars().any(char::is_control)
}

/// Whether that may be the name of an event that an app's backend sends.
pub fn is_event(name: &str) -> bool {
    !name.is_empty() && name.chars().take(EVENT_CHARS_MAX + 1).count() <= EVENT_CHARS_MAX
}

/// Whether that names an event that subscribers send to each other.
pub fn is_client_event(name: &str) -> bool {
    name.starts_with("client-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_says_the_kind() {
        use Door::{Encrypted, Presence, Private, Public, User};
        for (name, door, keeps) in [
            ("news", Public, false),
            ("cache-news", Public, true),
            ("private", Public, false),
            ("privates", Public, false),
            ("private-a", Private, false),
            ("private-cache", Private, false),
            ("private-cache-a", Private, true),
            ("private-encrypted-a", Encrypted, false),
            ("private-encrypted-cache-a", Encrypted, true),
            ("presence-a", Presence, false),
            ("presence-cache-a", Presence, true),
            ("#server-to-user-a", User, false),
        ] {
            assert_eq!(Kind::of(name), Kind { door, keeps }, "{name}");
        }
    }

    #[test]
    fn a_name_is_of_some_characters() {
        let longest = "a".repeat(CHANNEL_CHARS_MAX);
        for name in ["a", "private-users.1;2,3=4@5_6", "#server-to-user-ana maria", &longest] {
            assert!(is_channel(name), "{name}");
        }
        let longer = "a".repeat(CHANNEL_CHARS_MAX + 1);
        for wrong in ["", "a b", "a/b", "#a", "#server-to-user-", "#server-to-user-a\n", "é", "a\0", &longer] {
            assert!(!is_channel(wrong), "{wrong:?}");
        }
        assert_eq!(user_of(&channel_of("7")), Some("7"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(name in any::<String>()) {
            let _ = Kind::of(&name);
            prop_assert!(!is_channel(&name) || name.chars().count() <= CHANNEL_CHARS_MAX);
            prop_assert!(!is_user(&name) || name.chars().count() <= USER_CHARS_MAX);
        }
    }
}
