//! Subscriptions: who gets a signature for which channel, and that it is the protocol's.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::app::{TestApp, answer};
use crate::support::pigeon::Pigeon;

const AUTH: &str = "/broadcasting/auth";

impl Pigeon<'_> {
    async fn subscribes(&self, channel: &str) -> (StatusCode, Value) {
        protocols(self.post(AUTH, json!({"channel_name": channel, "socket_id": "1234.5678"})).await)
    }

    /// What the protocol wants of a name: HMAC-SHA256 with the platform's secret, in hexadecimal digits.
    fn signed(&self, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.platform.secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}:{hex}", self.platform.key)
    }
}

/// An answer with what the protocol knows of its signature. Where there may be other nodes, what the node needs that has
/// the connection follows it.
fn protocols((status, mut told): (StatusCode, Value)) -> (StatusCode, Value) {
    if let Some(auth) = told["auth"].as_str() {
        let parts: Vec<_> = auth.split(':').collect();
        assert_eq!(parts.len() == 4, crate::support::postgres::is_chosen(), "{auth}");
        told["auth"] = parts[..2].join(":").into();
    }
    (status, told)
}

#[tokio::test]
async fn everybody_gets_the_channels_that_are_theirs() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let mai = app.pigeon_of_staff(&ana.platform, "Mai").await;
    let role = format!("/api/v1/pigeons/users/{}/roles/backoffice", rui.uuid());
    assert_eq!(mai.send(Method::PUT, &role, json!({"status": "requested"})).await.0, StatusCode::OK);
    assert_eq!(rui.subscribes("private-backoffice").await.0, StatusCode::FORBIDDEN);
    assert_eq!(mai.send(Method::PUT, &role, json!({"status": "approved"})).await.0, StatusCode::OK);
    let other = app.platform("Other").await;
    let everybody = [&ana, &rui, &eve, &mai];
    for (channel, who) in [
        (format!("private-conversation.{conversation}"), [true, true, false, false]),
        (format!("private-users.{}", ana.uuid()), [true, false, false, false]),
        (format!("private-platform.{}", ana.platform.key), [true, true, true, true]),
        (format!("private-platform.{}", other.key), [false, false, false, false]),
        ("private-backoffice".to_owned(), [false, true, false, true]),
    ] {
        let bare = channel.strip_prefix("private-").unwrap().to_owned();
        for name in [channel, bare] {
            for (user, may) in everybody.iter().zip(who) {
                let (status, told) = user.subscribes(&name).await;
                if may {
                    let auth = user.signed(&format!("1234.5678:{name}"));
                    assert_eq!((status, told), (StatusCode::OK, json!({"auth": auth})), "{} {name}", user.user.name);
                } else {
                    let want = json!({"message": "Unauthorized", "errors": null});
                    assert_eq!((status, told), (StatusCode::FORBIDDEN, want), "{} {name}", user.user.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_presence_channel_says_who_one_is() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let channel = format!("presence-conversation.{conversation}");
    let (status, told) = ana.subscribes(&channel).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let data = told["channel_data"].as_str().unwrap();
    let who: Value = serde_json::from_str(data).unwrap();
    assert_eq!(who, json!({"user_id": ana.uuid(), "user_info": {"name": "Ana", "avatar": null}}));
    assert_eq!(told["auth"], ana.signed(&format!("1234.5678:{channel}:{data}")));
    let eve = app.pigeon(&ana.platform, "Eve").await;
    assert_eq!(eve.subscribes(&channel).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_stock_client_asks_with_a_form_and_without_a_key() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let channel = format!("private-conversation.{conversation}");
    let form = [("socket_id", "1.2"), ("channel_name", channel.as_str())];
    let bare = app.request(Method::POST, AUTH).bearer_auth(&ana.token);
    let want = json!({"auth": ana.signed(&format!("1.2:{channel}"))});
    assert_eq!(protocols(answer(bare.form(&form)).await), (StatusCode::OK, want));
    // A key that is not the caller's is refused all the same, and so is nobody, and a token for something else.
    let other = app.platform("Other").await.key.to_string();
    let foreign = app.request(Method::POST, AUTH).bearer_auth(&ana.token).header("x-public-key", other);
    assert_eq!(answer(foreign.form(&form)).await.0, StatusCode::FORBIDDEN);
    let nobody = answer(app.request(Method::POST, AUTH).form(&form)).await;
    assert_eq!(nobody, (StatusCode::UNAUTHORIZED, json!({"message": "Unauthenticated."})));
    for user in [app.pigeon_who(&ana.platform, "Una", false, &["assistant"]).await.token, app.staff("Mai").await.token]
    {
        let request = app.request(Method::POST, AUTH).bearer_auth(user).form(&form);
        assert_eq!(answer(request).await.0, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn channels_that_are_not_here_are_refused() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    for channel in [
        "private-conversation.x".to_owned(),
        "news".to_owned(),
        format!("private-encrypted-conversation.{conversation}"),
        format!("presence-users.{}", ana.uuid()),
        format!("private-presence-conversation.{conversation}"),
        format!("private-conversation.{conversation}.more"),
        format!("private-conversation.{conversation}\u{0}"),
        "private-".to_owned(),
        "presence-backoffice".to_owned(),
        "#server-to-user-1".to_owned(),
    ] {
        let (status, told) = ana.subscribes(&channel).await;
        assert!(matches!(status.as_u16(), 403 | 422), "{channel} {status} {told}");
    }
    let (status, told) = ana.subscribes(&format!("private-conversation.{nobody}")).await;
    assert_eq!((status, told), (StatusCode::NOT_FOUND, json!({"message": "Conversation not found"})));
    for socket in ["", "1", "1.", ".1", "1.1.1", "a.b", "1.1:private-x", "1.1 "] {
        let body = json!({"channel_name": "private-backoffice", "socket_id": socket});
        let (status, told) = ana.post(AUTH, body).await;
        if socket.trim() == "1.1" {
            continue;
        }
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{socket:?}");
        assert!(told["errors"]["socket_id"][0].is_string());
    }
}
