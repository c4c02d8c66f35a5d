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
    /// A bearer token of a platform's user with the ability `events`.
    Events,
    /// A bearer token with the ability `knowledge`.
    Knowledge,
    /// A sealed session.
    Cookie,
    /// A signature with the secret of the app that the path names.
    Signature,
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
    /// Whether the body is a file.
    pub is_file: bool,
    /// Whether it shows its owner one of the secrets.
    pub shows: bool,
}

const fn route(name: &'static str, guard: Guard, stranger: Stranger) -> Route {
    Route { name, guard, stranger, with: &[], query: "", body: "", is_file: false, shows: false }
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

    const fn file(self) -> Self {
        Self { is_file: true, ..self }
    }

    const fn shows(self) -> Self {
        Self { shows: true, ..self }
    }
}

/// Every route.
pub fn table() -> Vec<Route> {
    [guest(), chats(), pigeons(), neptun(), openai(), aisdk(), hooks(), pusher(), knowledge()].concat()
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
        route("POST /api/v1/chat/guest/{sessionId}/typing", Nobody, Open).with(KEY).body("{}"),
        route("POST /api/v1/chat/guest/{sessionId}/transfer-human", Nobody, Open).with(KEY),
        route("GET /api/v1/chat/guest/{sessionId}/runs", Nobody, Open).with(KEY),
        route("POST /api/v1/chat/guest/{sessionId}/stop", Nobody, Open).with(KEY),
        route("GET /api/v1/chat/staff/sessions", Bearer, Refused),
        route("GET /api/v1/chat/sessions/{id}/messages", Bearer, Refused).with(NUMBER),
        route("POST /api/v1/chat/sessions/{id}/staff-message", Bearer, Refused).with(NUMBER).body(say),
        route("POST /api/v1/chat/sessions/{id}/close", Bearer, Refused).with(NUMBER),
        route("POST /api/v1/chat/sessions/{id}/hand-back", Bearer, Refused).with(NUMBER),
        route("GET /api/v1/chat/staff/events", Bearer, Refused).query("?wait=0&since=0"),
        route("POST /api/v1/chat/staff/events/ticket", Bearer, Refused),
        route("GET /api/v1/chat/sessions/{id}/events", Bearer, Refused).with(NUMBER).query("?wait=0&since=0"),
        route("POST /api/v1/chat/sessions/{id}/typing", Bearer, Refused).with(NUMBER).body("{}"),
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
        route("GET /api/chats/sessions/{id}/runs/", Nobody, Open).with(ID),
        route("GET /api/chats/messages/", Nobody, Open).query("?session_id={unknown}"),
        route("POST /api/chats/messages/", Nobody, Open).body(say),
        route("GET /api/chats/messages/{id}/", Nobody, Open).with(ID),
        route("DELETE /api/chats/messages/{id}/", Nobody, Open).with(ID),
        route("POST /api/chats/messages/chat/", Nobody, Open).body(say),
        route("POST /api/chats/messages/chat/stream/", Nobody, Open).body(say),
        route("GET /api/chats/messages/chat/stream/{message_id}/", Nobody, Open).with(ID),
        route("POST /api/chats/messages/chat/again/", Nobody, Open)
            .body(r#"{"session_id":"{unknown}","message_id":"{unknown}"}"#),
        route("POST /api/chats/messages/chat/stop/", Nobody, Open)
            .body(r#"{"session_id":"{unknown}","message_id":"{unknown}"}"#),
    ]
}

/// Users of a platform.
fn pigeons() -> Vec<Route> {
    use Guard::{Nobody, Platform};
    use Stranger::{Open, Own, Refused};
    const CONVERSATIONS: &str = r#"{"participant_uuid":"{ben}"}"#;
    const LETTER: &str = r#"{"conversation_uuid":"{conversation}","receiver_uuid":"{ben}","context_text":"evil",
        "context_type":"text","device":{"type":"web","os":"Linux"}}"#;
    const SOCKET: &str = r#"{"socket_id":"1.1","channel_name":"private-conversation.{conversation}"}"#;
    vec![
        route("POST /api/v1/auth", Nobody, Open).body("{}"),
        route("GET /api/v1/auth/keep-alive", Platform, Own),
        route("GET /api/v1/me/profile", Platform, Own),
        route("GET /api/v1/pigeons/health", Nobody, Open),
        route("GET /api/v1/pigeons/chat/conversations", Platform, Own).shows(),
        route("POST /api/v1/pigeons/chat/conversations", Platform, Open).body(CONVERSATIONS),
        route("PATCH /api/v1/pigeons/chat/conversations/{conversation}", Platform, Refused)
            .body(r#"{"is_archived":true}"#),
        route("GET /api/v1/pigeons/chat/conversations/{conversation}/messages", Platform, Refused).shows(),
        route("POST /api/v1/pigeons/chat/conversations/{conversation}/read", Platform, Refused).body("{}"),
        route("POST /api/v1/pigeons/chat/messages", Platform, Refused).body(LETTER),
        route("PATCH /api/v1/pigeons/chat/messages/{message}", Platform, Refused).body(r#"{"context_text":"evil"}"#),
        route("DELETE /api/v1/pigeons/chat/messages/{message}", Platform, Refused),
        route("PATCH /api/v1/pigeons/chat/messages/{message}/read", Platform, Refused),
        route("POST /api/v1/pigeons/chat/messages/{message}/reactions", Platform, Refused).body(r#"{"emoji":"👎"}"#),
        route("DELETE /api/v1/pigeons/chat/messages/{message}/reactions/{emoji}", Platform, Refused),
        route("POST /api/v1/pigeons/chat/attachments", Platform, Own).file(),
        route("GET /api/v1/pigeons/chat/attachments/{attachment}", Platform, Refused).shows(),
        route("GET /api/v1/pigeons/chat/events", Platform, Own).query("?wait=0&since=0").shows(),
        route("POST /api/v1/pigeons/chat/events/ticket", Platform, Own),
        route("GET /api/v1/pigeons/chat/search", Platform, Own).query("?q=secret").shows(),
        route("GET /api/v1/pigeons/chat/stats/devices", Platform, Own),
        route("POST /api/v1/pigeons/chat/devices", Platform, Own)
            .body(r#"{"token":"a-device","platform":"web","device":{"type":"web"}}"#),
        route("DELETE /api/v1/pigeons/chat/devices/{token}", Platform, Own).with(&[("token", "device")]),
        route("GET /api/v1/pigeons/presence", Platform, Own).query("?users=00000000-0000-0000-0000-000000000000"),
        route("PUT /api/v1/pigeons/users/{user}", Platform, Refused).with(ANA).body(r#"{"name":"Evil"}"#),
        route("PUT /api/v1/pigeons/users/{user}/roles/{role}", Platform, Refused)
            .with(ANA)
            .body(r#"{"status":"approved"}"#),
        route("POST /broadcasting/auth", Platform, Refused).body(SOCKET),
        // The key may be left out here, and the answer is about whoever asks.
        route("POST /broadcasting/user-auth", Guard::Bearer, Own).body(r#"{"socket_id":"1.1"}"#),
    ]
}

/// A platform's own backend.
fn hooks() -> Vec<Route> {
    use Guard::Events;
    use Stranger::{Own, Refused};
    const ID: &[(&str, &str)] = &[("id", "webhook")];
    vec![
        route("GET /api/v1/webhooks", Events, Own).shows(),
        route("POST /api/v1/webhooks", Events, Own).body(r#"{"url":"https://evil.example.test/"}"#),
        route("GET /api/v1/webhooks/{id}", Events, Refused).with(ID).shows(),
        route("PATCH /api/v1/webhooks/{id}", Events, Refused).with(ID).body(r#"{"url":"https://evil.example.test/"}"#),
        route("DELETE /api/v1/webhooks/{id}", Events, Refused).with(ID),
        route("POST /api/v1/webhooks/{id}/rotate", Events, Refused).with(ID),
        route("GET /api/v1/webhooks/{id}/deliveries", Events, Refused).with(ID),
        route("GET /api/v1/webhooks/{id}/deliveries/{delivery}", Events, Refused).with(ID),
        route("POST /api/v1/webhooks/{id}/replay", Events, Refused).with(ID).body("{}"),
        route("GET /api/v1/events", Events, Own).shows(),
    ]
}

const ANA: &[(&str, &str)] = &[("user", "ana")];

/// Backends of platforms.
fn pusher() -> Vec<Route> {
    use Guard::{Nobody, Signature};
    use Stranger::{Open, Refused};
    const APP: &[(&str, &str)] = &[("app_id", "platform"), ("channel", "room"), ("user_id", "ana")];
    const EVENT: &str = r#"{"name":"evil","channel":"{room}","data":"1"}"#;
    const BATCH: &str = r#"{"batch":[{"name":"evil","channel":"{room}","data":"1"}]}"#;
    let backends = |name| route(name, Signature, Refused).with(APP);
    vec![
        route("GET /app/{key}", Nobody, Open).with(&[("key", "platform")]).query("?protocol=7"),
        backends("POST /apps/{app_id}/events").body(EVENT),
        backends("POST /apps/{app_id}/batch_events").body(BATCH),
        backends("GET /apps/{app_id}/channels").query("?info=subscription_count"),
        backends("GET /apps/{app_id}/channels/{channel}"),
        backends("GET /apps/{app_id}/channels/{channel}/users"),
        backends("POST /apps/{app_id}/users/{user_id}/terminate_connections"),
        backends("GET /apps/{app_id}/connections"),
    ]
}

/// Signed-in users.
fn neptun() -> Vec<Route> {
    let public = [
        route("POST /api/auth/sign-up", Guard::Nobody, Stranger::Open)
            .body(r#"{"email":"evil@example.test","password":"Passw0rd!"}"#),
        route("POST /api/auth/login", Guard::Nobody, Stranger::Open)
            .body(r#"{"email":"{nina_email}","password":"Passw0rd!"}"#),
        route("POST /api/auth/logout", Guard::Nobody, Stranger::Open),
        route("POST /auth/otp", Guard::Nobody, Stranger::Open)
            .body(r#"{"action":"validate","email":"{nina_email}","otp":"00000","new_password":"Passw0rd!"}"#),
        route("POST /{email}/reset-password", Guard::Nobody, Stranger::Open)
            .with(&[("email", "nina_email")])
            .body(r#"{"otp":"00000","new_password":"Passw0rd!"}"#),
        route("GET /health", Guard::Nobody, Stranger::Open),
        route("GET /models", Guard::Nobody, Stranger::Open),
        route("GET /api/shared/chats/{uuid}", Guard::Nobody, Stranger::Open).with(&[("uuid", "link")]),
        route("GET /api/auth/check", Guard::Cookie, Stranger::Own),
        route("HEAD /api/auth/check", Guard::Cookie, Stranger::Own),
    ];
    // Under her name, and under the stranger's own with her chat.
    let own = own_chats().into_iter().flat_map(|route| [route.with(NINA), Route { shows: false, ..route.with(NED) }]);
    public.into_iter().chain(own.filter(|route| route.with == NINA || route.name.contains("{chat_id}"))).collect()
}

/// Whoever has a token asks for themselves; nobody names another's conversation.
fn openai() -> Vec<Route> {
    use Guard::Bearer;
    use Stranger::{Own, Refused};
    const ID: &[(&str, &str)] = &[("response_id", "response")];
    let question = r#"{"messages":[{"role":"user","content":"evil"}],"conversation":"{chat_uuid}"}"#;
    vec![
        route("GET /v1/models", Bearer, Own),
        route("GET /v1/models/{model}", Bearer, Own).with(&[("model", "any_model")]),
        // A name that is another's chat is a new name to the caller.
        route("POST /v1/chat/completions", Bearer, Own).body(question),
        route("POST /v1/responses", Bearer, Refused).body(r#"{"input":"evil","previous_response_id":"{response}"}"#),
        route("GET /v1/responses/{response_id}", Bearer, Refused).with(ID),
        route("POST /v1/responses/{response_id}/cancel", Bearer, Refused).with(ID),
    ]
}

/// A chat's id is the capability.
fn aisdk() -> Vec<Route> {
    use Guard::Nobody;
    use Stranger::Open;
    const ID: &[(&str, &str)] = &[("id", "unknown")];
    let say = r#"{"id":"a-chat-of-my-own","messages":[{"role":"user","parts":[{"type":"text","text":"evil"}]}]}"#;
    vec![
        route("POST /api/chat", Nobody, Open).body(say),
        route("GET /api/chat/{id}/stream", Nobody, Open).with(ID),
        route("POST /api/chat/{id}/stop", Nobody, Open).with(ID),
        route("GET /api/chat/{id}/messages", Nobody, Open).with(ID),
    ]
}

const NINA: &[(&str, &str)] = &[
    ("user_id", "nina"),
    ("chat_id", "chat"),
    ("message_id", "chat_message"),
    ("share_id", "share"),
    ("publisher", "publisher"),
    ("model", "model"),
];

const NED: &[(&str, &str)] =
    &[("user_id", "ned"), ("chat_id", "chat"), ("message_id", "chat_message"), ("share_id", "share")];

fn own_chats() -> Vec<Route> {
    const QUESTION: &str = r#"{"messages":[{"role":"user","content":"evil"}]}"#;
    let refused = |name| route(name, Guard::Cookie, Stranger::Refused);
    vec![
        refused("PATCH /api/users/{user_id}").body(r#"{"email":"evil@example.test"}"#),
        refused("DELETE /api/users/{user_id}"),
        refused("GET /api/users/{user_id}/cli"),
        refused("GET /api/users/{user_id}/files").shows(),
        refused("GET /api/users/{user_id}/chats").shows(),
        refused("GET /api/users/{user_id}/chats/events").query("?wait=0&since=0").shows(),
        refused("POST /api/users/{user_id}/chats").body(r#"{"name":"evil","model":"google/gemma-2-27b-it"}"#),
        refused("DELETE /api/users/{user_id}/chats").body(r#"{"chat_ids":[{chat}]}"#),
        refused("PATCH /api/users/{user_id}/chats/{chat_id}").body(r#"{"name":"evil"}"#),
        refused("DELETE /api/users/{user_id}/chats/{chat_id}"),
        refused("GET /api/users/{user_id}/chats/{chat_id}/messages").shows(),
        refused("POST /api/users/{user_id}/chats/{chat_id}/messages").body(r#"{"message":"evil","actor":"user"}"#),
        refused("DELETE /api/users/{user_id}/chats/{chat_id}/messages/last"),
        refused("POST /api/users/{user_id}/chats/{chat_id}/messages/{message_id}/answer"),
        refused("GET /api/users/{user_id}/chats/{chat_id}/runs"),
        refused("GET /api/users/{user_id}/chats/{chat_id}/answer"),
        refused("POST /api/users/{user_id}/chats/{chat_id}/stop"),
        refused("GET /api/users/{user_id}/chats/{chat_id}/files").shows(),
        refused("POST /api/users/{user_id}/chats/{chat_id}/files/{message_id}").body(r#"{"text":"evil"}"#),
        refused("GET /api/users/{user_id}/chats/{chat_id}/shares"),
        refused("POST /api/users/{user_id}/chats/{chat_id}/shares").body("{}"),
        refused("POST /api/users/{user_id}/chats/{chat_id}/shares/{share_id}/whitelist-entries")
            .body(r#"["ned@example.test"]"#),
        refused("POST /api/ai/{publisher}/{model}/chat").query("?chat_id={chat}").body(QUESTION),
        refused("POST /api/ai/huggingface/{publisher}/{model}/chat").query("?chat_id={chat}").body(QUESTION),
    ]
}

/// Documents are their uploader's and their tenant's staff's.
fn knowledge() -> Vec<Route> {
    use Guard::Knowledge;
    use Stranger::{Own, Refused};
    const ID: &[(&str, &str)] = &[("id", "knowledge_document")];
    vec![
        route("GET /api/knowledgebase/documents/", Knowledge, Own).shows(),
        route("POST /api/knowledgebase/documents/", Knowledge, Own).file(),
        route("GET /api/knowledgebase/documents/{id}/", Knowledge, Refused).with(ID).shows(),
        route("PUT /api/knowledgebase/documents/{id}/", Knowledge, Refused).with(ID).body(r#"{"title":"evil"}"#),
        route("PATCH /api/knowledgebase/documents/{id}/", Knowledge, Refused).with(ID).body(r#"{"title":"evil"}"#),
        route("DELETE /api/knowledgebase/documents/{id}/", Knowledge, Refused).with(ID),
        route("POST /api/knowledgebase/documents/{id}/chunk/", Knowledge, Refused).with(ID),
        route("POST /api/knowledgebase/documents/{id}/vectorize/", Knowledge, Refused).with(ID),
        route("POST /api/knowledgebase/documents/{id}/remove-from-vectordb/", Knowledge, Refused).with(ID),
        route("GET /api/knowledgebase/documents/{id}/chunks/", Knowledge, Refused).with(ID).shows(),
        route("GET /api/knowledgebase/documents/{id}/download/", Knowledge, Refused).with(ID).shows(),
        route("GET /api/knowledgebase/documents/{id}/view/", Knowledge, Refused).with(ID).shows(),
        route("POST /api/knowledgebase/documents/search/", Knowledge, Own)
            .body(r#"{"query":"document-secret"}"#)
            .shows(),
        route("GET /api/knowledgebase/stats/", Knowledge, Own),
    ]
}
