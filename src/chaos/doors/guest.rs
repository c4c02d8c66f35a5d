//! Guests of a website, and a member of staff who answers them.

use serde_json::{Value, json};

use super::{Door, Place, Subject, name};
use crate::chaos::dice::Dice;
use crate::chaos::history::{Change, Deed, MessageName, Said, View};
use crate::chaos::http::Ask;

/// The guest door.
pub struct Guests {
    /// Its sessions, by their keys.
    pub places: Vec<Place>,
    /// A token of staff.
    pub token: String,
}

impl Guests {
    /// A request of the member of staff.
    pub fn as_staff(&self, ask: Ask) -> Ask {
        ask.with("authorization", format!("Bearer {}", self.token))
    }
}

impl Door for Guests {
    fn name(&self) -> &'static str {
        "guest"
    }

    fn places(&self) -> &[Place] {
        &self.places
    }

    fn subjects(&self) -> Vec<Subject> {
        let own = self.places.iter().map(|place| Subject {
            name: format!("guest {}", place.number),
            events: Ask::get(format!("/api/v1/chat/guest/{}/events?", place.key)),
            polled: Some(Ask::get(format!("/api/v1/chat/guest/{}/messages?last_message_id=", place.key))),
            socket_of: None,
            places: vec![place.number],
        });
        let staff = Subject {
            name: "staff".to_owned(),
            events: self.as_staff(Ask::get("/api/v1/chat/staff/events?")),
            polled: None,
            socket_of: None,
            places: self.places.iter().map(|place| place.number).collect(),
        };
        own.chain([staff]).collect()
    }

    fn ask(&self, place: &Place, side: usize, deed: &Deed, key: &str) -> Ask {
        let text = if let Deed::Send(text) = deed { text.as_str() } else { "" };
        let body = json!({"message": text});
        let ask = if side == 0 {
            Ask::post(format!("/api/v1/chat/guest/{}/message", place.key), body)
        } else {
            self.as_staff(Ask::post(format!("/api/v1/chat/admin/{}/message", place.key), body))
        };
        ask.with("idempotency-key", key)
    }

    fn draw(&self, _: &MessageName, _: &str, _: &mut Dice) -> Option<Deed> {
        None
    }

    fn sent(&self, answer: &Value) -> Option<MessageName> {
        name(&answer["data"]["id"])
    }

    fn list(&self, place: &Place) -> Ask {
        Ask::get(format!("/api/v1/chat/guest/{}/history", place.key))
    }

    fn listed(&self, answer: &Value) -> Option<View> {
        answer["data"]["messages"].as_array()?.iter().map(message).collect()
    }

    fn heard(&self, kind: &str, data: &Value) -> Option<(Option<String>, Change)> {
        let place = name(&data["session_key"]);
        match kind {
            "message" => message(data).map(|(id, said)| (place, Change::Sent(id, said))),
            "deleted" => Some((place, Change::Deleted(name(&data["id"])?))),
            _ => None,
        }
    }
}

fn message(message: &Value) -> Option<(MessageName, Said)> {
    let text = message["message"].as_str()?.to_owned();
    Some((name(&message["id"])?, Said { text, ..Said::default() }))
}
