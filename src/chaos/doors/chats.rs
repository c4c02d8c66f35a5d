//! Anonymous sessions, without their assistant.

use hyper::Method;
use serde_json::{Value, json};

use super::{Door, Place, Subject, name};
use crate::chaos::dice::Dice;
use crate::chaos::history::{Change, Deed, MessageName, Said, View};
use crate::chaos::http::Ask;

/// The chats door.
pub struct Chats {
    /// Its sessions, by their ids.
    pub places: Vec<Place>,
}

impl Door for Chats {
    fn name(&self) -> &'static str {
        "chats"
    }

    fn places(&self) -> &[Place] {
        &self.places
    }

    fn subjects(&self) -> Vec<Subject> {
        let of = |place: &Place| Subject {
            name: format!("visitor {}", place.number),
            events: Ask::get(format!("/api/chats/sessions/{}/events/?", place.key)),
            polled: None,
            socket_of: None,
            places: vec![place.number],
        };
        self.places.iter().map(of).collect()
    }

    fn ask(&self, place: &Place, _: usize, deed: &Deed, key: &str) -> Ask {
        match deed {
            Deed::Delete(message) => Ask::get(format!("/api/chats/messages/{message}/")).by(Method::DELETE),
            deed => {
                let text = if let Deed::Send(text) = deed { text.as_str() } else { "" };
                let body = json!({"session_id": place.key, "role": "user", "message": text});
                Ask::post("/api/chats/messages/", body).with("idempotency-key", key)
            }
        }
    }

    fn draw(&self, message: &MessageName, _: &str, dice: &mut Dice) -> Option<Deed> {
        (dice.below(6) == 0).then(|| Deed::Delete(message.clone()))
    }

    fn sent(&self, answer: &Value) -> Option<MessageName> {
        name(&answer["id"])
    }

    fn list(&self, place: &Place) -> Ask {
        Ask::get(format!("/api/chats/messages/?session_id={}", place.key))
    }

    fn listed(&self, answer: &Value) -> Option<View> {
        answer.as_array()?.iter().map(message).collect()
    }

    fn heard(&self, kind: &str, data: &Value) -> Option<(Option<String>, Change)> {
        match kind {
            "message" => message(data).map(|(id, said)| (None, Change::Sent(id, said))),
            "deleted" => Some((None, Change::Deleted(name(&data["id"])?))),
            _ => None,
        }
    }
}

fn message(message: &Value) -> Option<(MessageName, Said)> {
    let text = message["message"].as_str()?.to_owned();
    Some((name(&message["id"])?, Said { text, ..Said::default() }))
}
