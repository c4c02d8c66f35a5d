//! The doors as the clients of a run use them: how each is asked, and what its answers and events mean.

mod chats;
mod guest;
pub mod neptun;
pub mod pigeons;

use serde_json::Value;

pub use self::chats::Chats;
pub use self::guest::Guests;
pub use self::neptun::Neptun;
pub use self::pigeons::Pigeons;
use super::dice::Dice;
use super::history::{Change, Deed, MessageName, View};
use super::http::Ask;

/// A conversation of the run.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number in the run.
    pub number: usize,
    /// What its door calls it.
    pub key: String,
    /// Its two sides, by number of the door's users; a guest is not one.
    pub sides: [usize; 2],
}

/// What somebody can follow: one conversation or many.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What the follower is called in reports.
    pub name: String,
    /// The address of its events.
    pub events: Ask,
    /// A list that is polled by the number of the last message: its address up to that number.
    pub polled: Option<Ask>,
    /// The door's user whose sockets tell the same.
    pub socket_of: Option<usize>,
    /// The conversations, by number in the run.
    pub places: Vec<usize>,
}

/// A door.
pub trait Door: Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Its conversations.
    fn places(&self) -> &[Place];

    /// What can be followed.
    fn subjects(&self) -> Vec<Subject>;

    /// The request that does something as one of a conversation's two sides; the key makes it idempotent where the
    /// door knows such keys.
    fn ask(&self, place: &Place, side: usize, deed: &Deed, key: &str) -> Ask;

    /// What may be done to a message that one sent oneself, besides.
    fn draw(&self, message: &MessageName, text: &str, dice: &mut Dice) -> Option<Deed>;

    /// The name of the message in the answer to a send.
    fn sent(&self, answer: &Value) -> Option<MessageName>;

    /// The request for everything in a conversation.
    fn list(&self, place: &Place) -> Ask;

    /// What the answer to that holds.
    fn listed(&self, answer: &Value) -> Option<View>;

    /// What an event means: its conversation, where it names one, and what changed.
    fn heard(&self, kind: &str, data: &Value) -> Option<(Option<String>, Change)>;
}

/// A text or a number as a name.
fn name(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
}
