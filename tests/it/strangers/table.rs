//! Who may use which route, and what a stranger gets there.

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: it is public, or the path or body holds the capability.
    Nobody,
    /// A bearer token of staff.
    Bearer,
    /// A bearer token of a platform's user, with the platform's key.
    Platform,
    /// A sealed session.
    Cookie,
}

/// What somebody gets who comes with a valid credential of their own and asks for others' things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// A refusal.
    Refused,
    /// An answer about what is their own.
    Own,
    /// An answer that holds nothing of anybody's.
    Open,
    /// Told that their input is not valid.
    Invalid,
}

/// A route of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Method and path, as in the document.
    pub name: &'static str,
    pub guard: Guard,
    pub stranger: Stranger,
    /// What the path's names stand for: see the world.
    pub with: &'static [(&'static str, &'static str)],
    pub query: &'static str,
    /// A body that would do something if it were allowed to.
    pub body: &'static str,
    /// Whether it shows its owner one of the secrets.
    pub shows: bool,
}

const fn route(name: &'static str, guard: Guard, stranger: Stranger) -> Route {
    Route { name, guard, stranger, with: &[], query: "", body: "", shows: false }
}

impl Route {
    const fn with(self, with: &'static [(&'static str, &'static str)]) -> Self {
        Self { with, ..self }
    }

    const fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    const fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    const fn shows(self) -> Self {
        Self { shows: true, ..self }
    }
}

/// Every route.
pub fn table() -> Vec<Route> {
    [guest(), chats(), pigeons(), neptun()].concat()
}

/// A guest's key is the capability; who does not know it has another.
fn guest() -> Vec<Route> {
    use Guard::{Bearer, Nobody};
    use Stranger::{Open, Own, Refused};
    const KEY: &[(&str, &str)] = &[("sessionId", "unknown_key")];
    const NUMBER: &[(&str, &str)] = &[("id", "guest_number"), ("sessionKey", "guest_key")];
    let say = r#"{"message":"evil"}"#;
    let account =
        r#"{"name":"Evil","email":"evil@example.test","password":"Passw0rd!","password_confirmation":"Passw0rd!"}"#;
    vec![
        route("POST /api/v1/chat/guest/session", Nobody, Open).body(r#"{"session_key":"a-key-of-my-own-1234"}"#),
        route("GET /api/v1/chat/guest/{sessionId}/history", Nobody, Open).with(KEY),
        route("POST /api/v1/chat/guest/{sessionId}/message", Nobody, Open).with(KEY).body(say),
        route("GET /api/v1/chat/guest/{sessionId}/messages", Nobody, Open).with(KEY),
        route("GET /api/v1/chat/guest/{sessionId}/events", Nobody, Open).with(KEY),
        route("POST /api/v1/chat/guest/{sessionId}/transfer-human", Nobody, Open).with(KEY),
        route("GET /api/v1/chat/staff/sessions", Bearer, Refused),
        route("GET /api/v1/chat/sessions/{id}/messages", Bearer, Refused).with(NUMBER),
        route("POST /api/v1/chat/sessions/{id}/staff-message", Bearer, Refused).with(NUMBER).body(say),
        route("POST /api/v1/chat/sessions/{id}/close", Bearer, Refused).with(NUMBER),
        route("GET /api/v1/chat/admin/sessions", Bearer, Refused),
        route("POST /api/v1/chat/admin/{sessionKey}/assign", Bearer, Refused).with(NUMBER),
        route("POST /api/v1/chat/admin/{sessionKey}/message", Bearer, Refused).with(NUMBER).body(say),
        route("GET /api/v1/chat/admin/{sessionKey}/messages", Bearer, Refused).with(NUMBER),
        route("POST /api/v1/chatbot", Nobody, Open).body(say),
        route("GET /api/v1/chatbot/history", Nobody, Open).query("?session_key={unknown_key}"),
        route("POST /api/v1/auth/register", Nobody, Open).body(account),
        route("POST /api/v1/auth/verify-otp", Nobody, Open).body(r#"{"email":"{nina_email}","otp":"000000"}"#),
        route("POST /api/v1/auth/login", Nobody, Open).body(r#"{"email":"{nina_email}","password":"Passw0rd!"}"#),
        route("GET /api/v1/auth/me", Bearer, Own),
        route("POST /api/v1/auth/logout", Bearer, Own),
        route("POST /api/v1/auth/logout-all", Bearer, Own),
    ]
}

/// A session's identifier is the capability.
fn chats() -> Vec<Route> {
    use Guard::Nobody;
    use Stranger::Open;
    const ID: &[(&str, &str)] = &[("id", "unknown"), ("message_id", "unknown")];
    let say = r#"{"session_id":"{unknown}","message":"evil","role":"user"}"#;
    vec![
        route("POST /api/chats/sessions/", Nobody, Open).body("{}"),
        route("GET /api/chats/sessions/", Nobody, Open),
        route("GET /api/chats/sessions/{id}/", Nobody, Open).with(ID),
        route("PUT /api/chats/sessions/{id}/", Nobody, Open).with(ID).body(r#"{"is_active":false}"#),
        route("PATCH /api/chats/sessions/{id}/", Nobody, Open).with(ID).body(r#"{"is_active":false}"#),
        route("DELETE /api/chats/sessions/{id}/", Nobody, Open).with(ID),
        route("GET /api/chats/sessions/{id}/events/", Nobody, Open).with(ID),
        route("GET /api/chats/messages/", Nobody, Open).query("?session_id={unknown}"),
        route("POST /api/chats/messages/", Nobody, Open).body(say),
        route("GET /api/chats/messages/{id}/", Nobody, Open).with(ID),
        route("DELETE /api/chats/messages/{id}/", Nobody, Open).with(ID),
        route("POST /api/chats/messages/chat/", Nobody, Open).body(say),
        route("POST /api/chats/messages/chat/stream/", Nobody, Open).body(say),
        route("GET /api/chats/messages/chat/stream/{message_id}/", Nobody, Open).with(ID),
        route("POST /api/chats/messages/chat/stop/", Nobody, Open)
            .body(r#"{"session_id":"{unknown}","message_id":"{unknown}"}"#),
    ]
}

/// Users of a platform.
fn pigeons() -> Vec<Route> {
    Vec::new()
}

/// Signed-in users.
fn neptun() -> Vec<Route> {
    Vec::new()
}
