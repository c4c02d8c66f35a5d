//! Users of a platform who write to each other.

use hyper::Method;
use serde_json::{Value, json};

use super::{Door, Place, Subject, name};
use crate::chaos::dice::Dice;
use crate::chaos::history::{Change, Deed, MessageName, Said, View};
use crate::chaos::http::Ask;

/// A user of the platform.
pub struct User {
    /// Their name for others.
    pub uuid: String,
    /// Signs them in.
    pub token: String,
}

/// The Pigeons door.
pub struct Pigeons {
    /// Its conversations, by their uuids.
    pub places: Vec<Place>,
    /// The platform's public key.
    pub key: String,
    /// Its users.
    pub users: Vec<User>,
}

const CHAT: &str = "/api/v1/pigeons/chat";

impl Pigeons {
    /// A request of a user.
    pub fn as_user(&self, user: usize, ask: Ask) -> Ask {
        let token = format!("Bearer {}", self.users[user].token);
        ask.with("authorization", token).with("x-public-key", self.key.clone())
    }

    /// The channels of a user's conversations.
    pub fn channels(&self, user: usize) -> Vec<String> {
        let own = self.places.iter().filter(|place| place.sides.contains(&user));
        own.map(|place| format!("private-conversation.{}", place.key)).collect()
    }
}

impl Door for Pigeons {
    fn name(&self) -> &'static str {
        "pigeons"
    }

    fn places(&self) -> &[Place] {
        &self.places
    }

    fn subjects(&self) -> Vec<Subject> {
        let of = |user: usize| Subject {
            name: format!("pigeon {user}"),
            events: self.as_user(user, Ask::get(format!("{CHAT}/events?"))),
            polled: None,
            socket_of: Some(user),
            places: self.places.iter().filter(|place| place.sides.contains(&user)).map(|place| place.number).collect(),
        };
        (0..self.users.len()).map(of).collect()
    }

    fn ask(&self, place: &Place, side: usize, deed: &Deed, key: &str) -> Ask {
        let at = |message: &str| format!("{CHAT}/messages/{message}");
        let ask = match deed {
            Deed::Send(text) => {
                let receiver = &self.users[place.sides[1 - side]].uuid;
                let body = json!({
                    "conversation_uuid": place.key, "receiver_uuid": receiver, "context_text": text,
                    "context_type": "text", "device": {"type": "web", "os": "Linux"},
                });
                Ask::post(format!("{CHAT}/messages"), body).with("idempotency-key", key)
            }
            Deed::Edit(message, text) => Ask::post(at(message), json!({"context_text": text})).by(Method::PATCH),
            Deed::React(message, emoji) => Ask::post(at(message) + "/reactions", json!({"emoji": emoji})),
            Deed::Delete(message) => Ask::get(at(message)).by(Method::DELETE),
            // The other side reads.
            Deed::Read(message) => {
                let ask = Ask::post(at(message) + "/read", json!({})).by(Method::PATCH);
                return self.as_user(place.sides[1 - side], ask);
            }
        };
        self.as_user(place.sides[side], ask)
    }

    fn draw(&self, message: &MessageName, text: &str, dice: &mut Dice) -> Option<Deed> {
        let emoji = *dice.one_of(&["🚲", "👍", "🌱"]);
        Some(match dice.below(8) {
            0 | 1 => Deed::Edit(message.clone(), text.to_owned()),
            2 => Deed::React(message.clone(), emoji.to_owned()),
            3 => Deed::Delete(message.clone()),
            4 => Deed::Read(message.clone()),
            _ => return None,
        })
    }

    fn sent(&self, answer: &Value) -> Option<MessageName> {
        name(&answer["data"]["message_id"])
    }

    fn list(&self, place: &Place) -> Ask {
        self.as_user(place.sides[0], Ask::get(format!("{CHAT}/conversations/{}/messages", place.key)))
    }

    fn listed(&self, answer: &Value) -> Option<View> {
        answer["data"].as_array()?.iter().map(message).collect()
    }

    fn heard(&self, kind: &str, data: &Value) -> Option<(Option<String>, Change)> {
        let id = || name(&data["message_id"]);
        let change = match kind {
            "message.sent" => message(data).map(|(id, said)| Change::Sent(id, said))?,
            "message.updated" => message(data).map(|(id, said)| Change::Edited(id, said.text))?,
            "message.deleted" => Change::Deleted(id()?),
            "message.reaction" => Change::Reacted(id()?, name(&data["user_uuid"])?, name(&data["emoji"])?),
            _ => return None,
        };
        Some((name(&data["conversation_uuid"]), change))
    }
}

fn message(message: &Value) -> Option<(MessageName, Said)> {
    let reaction = |one: &Value| Some((name(&one["user_uuid"])?, name(&one["emoji"])?));
    let reactions = message["reactions"].as_array()?.iter().map(reaction).collect::<Option<_>>()?;
    let text = message["context"]["text"].as_str()?.to_owned();
    Some((name(&message["message_id"])?, Said { text, reactions }))
}
