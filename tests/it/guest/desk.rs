//! The staff side: who may see, take, answer and close what.

use reqwest::{Method, StatusCode};
use roost::domain::{Ability, Email};
use serde_json::{Value, json};

use crate::support::app::{Guest, Staff, TestApp, answer};

impl Staff<'_> {
    async fn lists(&self, filter: &str) -> Vec<i64> {
        let (status, body) = self.get(&format!("/api/v1/chat/admin/sessions{filter}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|session| session["id"].as_i64().expect("a number"))
            .collect()
    }
}

/// Somebody with an account who is not staff, or has a token that may not act as staff.
async fn token(app: &TestApp, name: &str, is_staff: bool, ability: &str) -> String {
    let email = Email::parse(&format!("{name}@example.test")).unwrap();
    let user = app.app.chat.add_user(None, email, name.to_owned(), None, is_staff, vec![Ability::any()]).await.unwrap();
    app.app.chat.make_token(user, "test".to_owned(), vec![Ability::parse(ability).unwrap()], None).await.unwrap().token
}

/// Every staff route, for a session.
fn routes(guest: &Guest<'_>) -> Vec<(Method, String)> {
    let (id, key) = (guest.id, &guest.key);
    vec![
        (Method::GET, "/api/v1/chat/staff/sessions".to_owned()),
        (Method::GET, format!("/api/v1/chat/sessions/{id}/messages")),
        (Method::POST, format!("/api/v1/chat/sessions/{id}/staff-message")),
        (Method::POST, format!("/api/v1/chat/sessions/{id}/close")),
        (Method::GET, "/api/v1/chat/admin/sessions".to_owned()),
        (Method::POST, format!("/api/v1/chat/admin/{key}/assign")),
        (Method::POST, format!("/api/v1/chat/admin/{key}/message")),
        (Method::GET, format!("/api/v1/chat/admin/{key}/messages")),
    ]
}

#[tokio::test]
async fn without_a_valid_token_there_is_no_desk() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    let (id, secret) = mai.token.split_once('|').unwrap();
    let other_number = format!("{}|{secret}", id.parse::<i64>().unwrap() + 1);
    for (method, path) in routes(&guest) {
        for sent in [
            None,
            Some(String::new()),
            Some("Bearer".to_owned()),
            Some("Bearer ".to_owned()),
            Some(format!("Bearer {secret}")),
            Some(format!("Bearer {id}|")),
            Some(format!("Bearer {other_number}")),
            Some(format!("Bearer -{}", mai.token)),
            Some(format!("Bearer {}x", mai.token)),
            Some(format!("Basic {}", mai.token)),
            Some("Bearer 9223372036854775808|a".to_owned()),
            Some("Bearer 1|\u{e9}".to_owned()),
        ] {
            let request = app.request(method.clone(), &path).json(&json!({"message": "a"}));
            let request = match &sent {
                Some(sent) => request.header("authorization", sent.as_bytes()),
                None => request,
            };
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {sent:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn who_is_not_staff_learns_nothing() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let tokens = [token(&app, "visitor", false, "*").await, token(&app, "reader", true, "read-only").await];
    for token in tokens {
        for (method, path) in routes(&guest) {
            let request = app.request(method.clone(), &path).bearer_auth(&token).json(&json!({"message": "a"}));
            let (status, body) = answer(request).await;
            let want = if path.ends_with("staff/sessions") { StatusCode::NOT_FOUND } else { StatusCode::FORBIDDEN };
            assert_eq!(status, want, "{path} {body}");
        }
        for path in ["/api/v1/chat/sessions/999999/messages", "/api/v1/chat/admin/nobody/messages"] {
            let (status, _) = answer(app.request(Method::GET, path).bearer_auth(&token)).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}: not even that it does not exist");
        }
    }
    assert!(guest.polls(0).await.is_empty());
}

#[tokio::test]
async fn a_session_is_answered_by_who_has_it() {
    let app = TestApp::start().await;
    let (guest, mai, tam) = (app.guest().await, app.staff("Mai").await, app.staff("Tam").await);
    let by_number = |rest: &str| format!("/api/v1/chat/sessions/{}/{rest}", guest.id);
    let nobodys = mai.post(&by_number("staff-message"), json!({"message": "a"})).await;
    assert_eq!(nobodys.0, StatusCode::FORBIDDEN, "nobody has it yet");
    mai.takes(&guest).await;
    for (rest, body) in [("staff-message", json!({"message": "a"})), ("close", json!({}))] {
        assert_eq!(tam.post(&by_number(rest), body.clone()).await.0, StatusCode::FORBIDDEN, "{rest}");
        assert_eq!(mai.post(&by_number(rest), body).await.0, StatusCode::OK, "{rest}");
    }
    assert_eq!(tam.get(&by_number("messages")).await.0, StatusCode::FORBIDDEN);
    let (status, seen) = mai.get(&by_number("messages")).await;
    assert_eq!((status, seen["data"].as_array().map(Vec::len)), (StatusCode::OK, Some(1)));
    let (status, refused) =
        tam.post(&format!("/api/v1/chat/admin/{}/message", guest.key), json!({"message": "a"})).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")));
    for id in ["999999", "0", "-1", "x", "1.0", "9223372036854775808", "%00"] {
        let (status, _) = mai.get(&format!("/api/v1/chat/sessions/{id}/messages")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{id}");
    }
}

#[tokio::test]
async fn the_lists_show_what_their_filter_says() {
    let app = TestApp::start().await;
    let (mai, tam) = (app.staff("Mai").await, app.staff("Tam").await);
    let [free, mine, theirs] = [app.guest().await, app.guest().await, app.guest().await];
    for guest in [&free, &mine, &theirs] {
        app.clock.advance(std::time::Duration::from_secs(20));
        guest.says("hello").await;
    }
    mai.takes(&mine).await;
    tam.takes(&theirs).await;
    assert_eq!(mai.lists("").await, [free.id]);
    assert_eq!(mai.lists("?filter=unassigned").await, [free.id]);
    assert_eq!(mai.lists("?filter=mine").await, [mine.id]);
    assert_eq!(mai.lists("?filter=all").await.len(), 3);
    let (status, body) = mai.get("/api/v1/chat/admin/sessions?filter=everything").await;
    assert_eq!(
        (status, &body["error"]["details"]["filter"][0]),
        (StatusCode::BAD_REQUEST, &json!("Filter must be one of: unassigned, mine, all"))
    );
    let (_, body) = mai.get("/api/v1/chat/staff/sessions").await;
    assert_eq!(body["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["data"][0]["last_message"]["message"], "hello");
    mai.post(&format!("/api/v1/chat/sessions/{}/close", mine.id), json!({})).await;
    assert!(mai.lists("?filter=mine").await.is_empty(), "a closed session is on no desk");
    let (_, body) = mai.get("/api/v1/chat/staff/sessions").await;
    assert_eq!(body["data"], json!([]));
}

#[tokio::test]
async fn a_session_that_somebody_has_stays_theirs() {
    let app = TestApp::start().await;
    let (guest, mai, tam) = (app.guest().await, app.staff("Mai").await, app.staff("Tam").await);
    let first = mai.takes(&guest).await;
    let (again, too_late) = (mai.takes(&guest).await, tam.takes(&guest).await);
    assert_eq!((&first["assigned_user_id"], &again["assigned_user_id"]), (&json!(mai.id), &json!(mai.id)));
    assert_eq!((&too_late["assigned_user_id"], &too_late["assigned_at"]), (&json!(mai.id), &first["assigned_at"]));
}

#[tokio::test]
async fn answering_a_free_session_takes_it() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    let (status, sent) =
        mai.post(&format!("/api/v1/chat/admin/{}/message", guest.key), json!({"message": "Hello"})).await;
    let data = &sent["data"];
    assert_eq!((status, &data["role"], &data["is_bot"]), (StatusCode::OK, &json!("staff"), &json!(false)));
    assert_eq!((&data["user_id"], &guest.session().await["assigned_user_id"]), (&json!(mai.id), &json!(mai.id)));
    let (_, seen) = mai.get(&format!("/api/v1/chat/admin/{}/messages?last_message_id=0", guest.key)).await;
    assert_eq!(seen["data"][0]["message"], "Hello");
}

#[tokio::test]
async fn twenty_guests_at_once_never_share_one_of_five() {
    let app = TestApp::start().await;
    for name in ["Mai", "Tam", "Lan", "Huy", "Duc"] {
        app.staff(name).await;
    }
    let mut guests = Vec::new();
    for _ in 0..20 {
        guests.push(app.guest().await);
    }
    let asks = guests.iter().flat_map(|guest| [guest, guest]);
    let asked = asks.map(|guest| async { (guest.id, app.post(&guest.path("transfer-human"), json!({})).await.1) });
    let answers = futures_util::future::join_all(asked).await;
    let mut given = std::collections::HashMap::new();
    for (guest, body) in &answers {
        if let Some(staff) = body["data"]["staff"]["id"].as_i64() {
            let to = *given.entry(staff).or_insert(*guest);
            assert_eq!(to, *guest, "{staff} has two guests");
        } else {
            assert_eq!((&body["data"], &body["message"]), (&Value::Null, &json!("No staff available at the moment")));
        }
    }
    assert_eq!(given.len(), 5, "and nobody idles");
    for guest in &guests {
        let greetings = guest.polls(0).await.len();
        assert_eq!(greetings, usize::from(given.values().any(|id| *id == guest.id)), "greeted once");
    }
}

#[tokio::test]
async fn a_transfer_is_asked_for_as_often_as_one_likes() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    app.staff("Tam").await;
    let (_, first) = app.post(&guest.path("transfer-human"), json!({})).await;
    for _ in 0..3 {
        let (status, again) = app.post(&guest.path("transfer-human"), json!({})).await;
        assert_eq!((status, &again["data"]["staff"]), (StatusCode::OK, &first["data"]["staff"]));
    }
    assert_eq!(guest.polls(0).await.len(), 1, "one greeting");
    assert_eq!(first["data"]["staff"].as_object().unwrap().keys().collect::<Vec<_>>(), ["avatar", "id", "name"]);
    let (status, unknown) = app.post("/api/v1/chat/guest/nobody/transfer-human", json!({})).await;
    assert_eq!((status, &unknown["error"]["code"]), (StatusCode::NOT_FOUND, &json!("NOT_FOUND")));
    drop(mai);
}

#[tokio::test]
async fn a_closed_session_is_not_handed_over_until_its_guest_speaks() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    mai.takes(&guest).await;
    mai.post(&format!("/api/v1/chat/sessions/{}/close", guest.id), json!({})).await;
    let (status, asked) = app.post(&guest.path("transfer-human"), json!({})).await;
    assert_eq!((status, &asked["data"]), (StatusCode::OK, &Value::Null), "nobody would see it: {asked}");
    guest.says("Are you there?").await;
    let (_, asked) = app.post(&guest.path("transfer-human"), json!({})).await;
    assert_eq!(asked["data"]["staff"]["id"], json!(mai.id));
}
