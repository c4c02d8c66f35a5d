//! A platform with users who write to each other in pairs, each pair in a conversation of its own: what
//! sockets follow.

use std::path::Path;

use uuid::Uuid;

use super::preload::new_conversation;
use super::pusher::App;
use super::server::Server;
use crate::app;
use crate::chat::SharedChat;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{Ability, ConversationKind, Email, Platform, Tag, User};
use crate::error::{Error, Result};
use crate::store::NewConversation;
use crate::store::sqlite::{BareStore, DataDir, SqliteOptions};

/// The platform.
pub struct Tenant {
    key: Uuid,
    secret: String,
    users: Vec<Person>,
    /// The conversations.
    pub talks: Vec<Talk>,
}

/// One of its users.
struct Person {
    uuid: Uuid,
    token: String,
}

/// A conversation of two users.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    uuid: Uuid,
    from: usize,
    to: usize,
}

impl Tenant {
    /// Fills the store in `folder` with a platform and that many conversations, which so many users begin
    /// in turn, each with another peer every time.
    ///
    /// # Errors
    /// The store's.
    pub async fn fill(folder: &Path, clock: &Clock, conversations: usize, users: usize) -> Result<Self> {
        let config = Config { data: folder.to_owned(), ..Config::default() };
        let pairs = pairs(conversations, users);
        let (platform, users, people) = {
            let chat = app::open_chat(&config, clock.clone()).await?;
            register(&chat, &pairs).await?
        };
        let talks = open_talks(folder, clock, &platform, &users, &pairs)?;
        Ok(Self { key: platform.key, secret: platform.secret, users: people, talks })
    }

    /// Does the same to whatever store a configuration names.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle(config: &Config, clock: &Clock, conversations: usize, users: usize) -> Result<Self> {
        let chat = app::open_chat(config, clock.clone()).await?;
        let pairs = pairs(conversations, users);
        let (platform, users, people) = register(&chat, &pairs).await?;
        let mut talks = Vec::with_capacity(pairs.len());
        for (from, to) in pairs {
            let access = chat.authenticate(&people[from].token).await?;
            let (direct, _) = chat.open_direct(&access, users[to].uuid, Tag::default()).await?;
            talks.push(Talk { uuid: direct.conversation.uuid, from, to });
        }
        Ok(Self { key: platform.key, secret: platform.secret, users: people, talks })
    }

    /// The platform as an app of that server.
    pub fn app(&self, server: &Server) -> App {
        App {
            address: server.address,
            host: server.host.clone(),
            key: self.key.to_string(),
            // Its key is the number of a Roost app, too.
            id: self.key.to_string(),
            secret: self.secret.clone(),
        }
    }

    /// The request with which one of the two says something to the other.
    pub fn say(&self, host: &str, talk: Talk, text: &str) -> Vec<u8> {
        let body = format!(
            r#"{{"conversation_uuid":"{}","receiver_uuid":"{}","context_text":"{text}","context_type":"text","device":{{"type":"web","os":"Linux"}}}}"#,
            talk.uuid, self.users[talk.to].uuid
        );
        self.post(host, "/api/v1/pigeons/chat/messages", talk, &body)
    }

    /// The request that authorises a connection to follow the conversation from after a cursor.
    pub fn authorize(&self, host: &str, talk: Talk, socket_id: &str, since: u64) -> Vec<u8> {
        let channel = talk.channel();
        // Who has heard nothing yet has nothing to resume after.
        let since = if since == 0 { String::new() } else { format!(r#","since":"{since}""#) };
        let body = format!(r#"{{"socket_id":"{socket_id}","channel_name":"{channel}"{since}}}"#);
        self.post(host, "/broadcasting/auth", talk, &body)
    }

    fn post(&self, host: &str, path: &str, talk: Talk, body: &str) -> Vec<u8> {
        let (token, key) = (&self.users[talk.from].token, self.key);
        format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\ncontent-type: application/json\r\n\
             authorization: Bearer {token}\r\nx-public-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

impl Talk {
    /// The channel on which its events are told.
    pub fn channel(&self) -> String {
        format!("private-conversation.{}", self.uuid)
    }
}

/// Makes the platform, and the users of those pairs.
async fn register(chat: &SharedChat, pairs: &[(usize, usize)]) -> Result<(Platform, Vec<User>, Vec<Person>)> {
    let platform = chat.add_platform("Bench").await?;
    let count = pairs.iter().map(|(_, to)| to + 1).max().unwrap_or(0);
    let (mut users, mut people) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for number in 0..count {
        let email = Email::parse(&format!("user-{number}@example.com"));
        let email = email.ok_or_else(|| Error::internal("no address"))?;
        let name = format!("User {number}");
        let user = chat.add_user(Some(&platform), email, name, None, false, vec![Ability::any()]).await?;
        let token = chat.make_token(user.clone(), "bench".to_owned(), vec![Ability::any()], None).await?.token;
        people.push(Person { uuid: user.uuid, token });
        users.push(user);
    }
    Ok((platform, users, people))
}

/// Pairs of users: who begins, and the peer. The peers come after those who begin.
fn pairs(count: usize, users: usize) -> Vec<(usize, usize)> {
    let users = users.clamp(1, count.max(1));
    (0..count).map(|number| (number % users, users + number / users)).collect()
}

fn open_talks(
    folder: &Path,
    clock: &Clock,
    platform: &Platform,
    users: &[User],
    pairs: &[(usize, usize)],
) -> Result<Vec<Talk>> {
    const BATCH: usize = 4096;
    let new = |(from, to): &(usize, usize)| NewConversation {
        platform_id: Some(platform.id),
        user_id: Some(users[*from].id),
        peer_id: Some(users[*to].id),
        ..new_conversation(clock, ConversationKind::Direct, clock.uuid().to_string())
    };
    let dir = DataDir::prepare(folder)?;
    let mut store = BareStore::open(&dir, &SqliteOptions::default(), clock.now())?;
    let mut talks = Vec::with_capacity(pairs.len());
    for pairs in pairs.chunks(BATCH) {
        let batch: Vec<_> = pairs.iter().map(new).collect();
        store.create_batch(&batch)?;
        talks.extend(pairs.iter().zip(batch).map(|((from, to), new)| Talk { uuid: new.uuid, from: *from, to: *to }));
    }
    store.close()?;
    Ok(talks)
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs_are_different() {
        assert_eq!(super::pairs(5, 2), [(0, 2), (1, 2), (0, 3), (1, 3), (0, 4)]);
        assert_eq!(super::pairs(2, 100), [(0, 2), (1, 2)]);
        assert_eq!(super::pairs(0, 100), []);
    }
}
