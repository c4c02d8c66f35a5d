//! Users with a cookie, each with chats of their own.

use serde_json::{Value, json};

use super::{Door, Place, Subject, name};
use crate::chaos::dice::Dice;
use crate::chaos::history::{Change, Deed, MessageName, Said, View};
use crate::chaos::http::Ask;

/// A user of the door.
pub struct Owner {
    /// Their number.
    pub id: i64,
    /// `name=value`.
    pub cookie: String,
}

/// The Neptun door.
pub struct Neptun {
    /// Its chats, by their numbers; both sides are the owner.
    pub places: Vec<Place>,
    /// Its users.
    pub owners: Vec<Owner>,
}

impl Neptun {
    fn as_owner(&self, owner: usize, ask: Ask) -> Ask {
        ask.with("cookie", self.owners[owner].cookie.clone())
    }

    fn path(&self, place: &Place) -> String {
        format!("/api/users/{}/chats/{}/messages", self.owners[place.sides[0]].id, place.key)
    }
}

impl Door for Neptun {
    fn name(&self) -> &'static str {
        "neptun"
    }

    fn places(&self) -> &[Place] {
        &self.places
    }

    fn subjects(&self) -> Vec<Subject> {
        let of = |(number, owner): (usize, &Owner)| Subject {
            name: format!("owner {number}"),
            events: self.as_owner(number, Ask::get(format!("/api/users/{}/chats/events?", owner.id))),
            polled: None,
            socket_of: None,
            places: self.places.iter().filter(|place| place.sides[0] == number).map(|place| place.number).collect(),
        };
        self.owners.iter().enumerate().map(of).collect()
    }

    fn ask(&self, place: &Place, side: usize, deed: &Deed, key: &str) -> Ask {
        let text = if let Deed::Send(text) = deed { text.as_str() } else { "" };
        let actor = ["user", "assistant"][side];
        let body = json!({"message": text, "actor": actor});
        self.as_owner(place.sides[0], Ask::post(self.path(place), body)).with("idempotency-key", key)
    }

    fn draw(&self, _: &MessageName, _: &str, _: &mut Dice) -> Option<Deed> {
        None
    }

    fn sent(&self, answer: &Value) -> Option<MessageName> {
        name(&answer["chatMessage"]["id"])
    }

    fn list(&self, place: &Place) -> Ask {
        self.as_owner(place.sides[0], Ask::get(self.path(place)))
    }

    fn listed(&self, answer: &Value) -> Option<View> {
        answer["chatMessages"].as_array()?.iter().map(message).collect()
    }

    fn heard(&self, kind: &str, data: &Value) -> Option<(Option<String>, Change)> {
        match kind {
            "messageAdded" => {
                let told = &data["chatMessage"];
                message(told).map(|(id, said)| (name(&told["chat_conversation_id"]), Change::Sent(id, said)))
            }
            "messageDeleted" => Some((name(&data["chat_conversation_id"]), Change::Deleted(name(&data["id"])?))),
            _ => None,
        }
    }
}

fn message(message: &Value) -> Option<(MessageName, Said)> {
    let text = message["message"].as_str()?.to_owned();
    Some((name(&message["id"])?, Said { text, ..Said::default() }))
}
