//! Signing in: a user's own channel, those whom they watch, and the end of their connections.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer, until};
use crate::support::pusher::{Backend, Client, Said};

#[tokio::test]
async fn who_is_signed_in_hears_what_is_sent_to_them() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut client = Client::connect(&app, &acme).await;
    let user = json!({"id": "7", "user_info": {"name": "Ana"}});
    client.say(json!({"event": "pusher:subscribe", "data": {"channel": "#server-to-user-7"}})).await;
    assert_eq!(client.is_refused("#server-to-user-7").await, 401);
    client.signs_in(&user).await;
    let told = client.next().await;
    assert_eq!(told["event"], "pusher:signin_success");
    assert_eq!(told["data"]["user_data"], user.to_string());
    client.say(json!({"event": "pusher:subscribe", "data": {"channel": "#server-to-user-8"}})).await;
    assert_eq!(client.is_refused("#server-to-user-8").await, 401);
    client.subscribes("#server-to-user-7").await;
    Backend::new(&app, &acme).tells("#server-to-user-7", "hello", json!(1)).await;
    assert_eq!(client.next().await["event"], "hello");
    // Again as the same is fine, as somebody else is not.
    client.signs_in(&user).await;
    assert_eq!(client.next().await["event"], "pusher:signin_success");
    client.signs_in(&json!({"id": "8"})).await;
    assert_eq!(client.error().await, 4009);
    assert!(client.so_far().await.is_empty(), "and the connection stays");
}

#[tokio::test]
async fn a_sign_in_that_is_not_right_is_refused_and_the_connection_stays() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut client = Client::connect(&app, &acme).await;
    for data in [json!({}), json!("x"), Value::Null, json!({"auth": 7, "user_data": 7}), json!([])] {
        client.say(json!({"event": "pusher:signin", "data": data})).await;
        assert_eq!(client.error().await, 4200, "{data}");
    }
    let auth = format!("{}:00", acme.key);
    client.say(json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": "{\"id\":\"7\"}"}})).await;
    assert_eq!(client.error().await, 4009);
    for user in [json!({}), json!({"id": ""}), json!({"id": null}), json!({"id": "a".repeat(129)}), json!(7)] {
        client.signs_in(&user).await;
        assert_eq!(client.error().await, 4009, "{user}");
    }
    client.signs_in(&json!({"id": "7", "watchlist": vec!["a"; 101]})).await;
    assert_eq!(client.error().await, 4302);
    assert_eq!(client.subscribes("news").await, json!({}));
}

#[tokio::test]
async fn watchers_hear_who_comes_and_who_leaves() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut rui = Client::connect(&app, &acme).await;
    rui.signs_in(&json!({"id": "rui"})).await;
    rui.next_of("pusher:signin_success").await;
    let mut ana = Client::connect(&app, &acme).await;
    ana.signs_in(&json!({"id": "ana", "watchlist": ["rui", "eve"]})).await;
    ana.next_of("pusher:signin_success").await;
    let event = |name: &str, user: &str| json!({"event": "pusher_internal:watchlist_events", "data": {"events": [{"name": name, "user_ids": [user]}]}});
    assert_eq!(ana.next().await, event("online", "rui"));
    let mut eve = Client::connect(&app, &acme).await;
    eve.signs_in(&json!({"id": "eve"})).await;
    assert_eq!(ana.next().await, event("online", "eve"));
    let mut again = Client::connect(&app, &acme).await;
    again.signs_in(&json!({"id": "eve"})).await;
    again.next_of("pusher:signin_success").await;
    drop(eve);
    drop(rui);
    assert_eq!(ana.next().await, event("offline", "rui"), "eve has another connection");
    drop(again);
    assert_eq!(ana.next().await, event("offline", "eve"));
}

#[tokio::test]
async fn a_platforms_user_signs_in_through_the_auth_endpoint() {
    let app = TestApp::start().await;
    let (ana, rui, _) = app.pair().await;
    let mut client = Client::connect(&app, &ana.platform).await;
    let path = "/broadcasting/user-auth";
    let ask = |form: [(&'static str, String); 1]| app.request(Method::POST, path).bearer_auth(&ana.token).form(&form);
    let (status, told) = answer(ask([("socket_id", client.id.clone())])).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let user: Value = serde_json::from_str(told["user_data"].as_str().unwrap()).unwrap();
    let want = json!({"id": ana.uuid(), "user_info": {"name": "Ana", "avatar": null}, "watchlist": [rui.uuid()]});
    assert_eq!(user, want);
    client.say(json!({"event": "pusher:signin", "data": told})).await;
    assert_eq!(client.next().await["event"], "pusher:signin_success");
    assert!(app.app.chat.is_online(&ana.platform, &ana.user).await);
    let own = format!("#server-to-user-{}", ana.uuid());
    client.subscribes(&own).await;
    assert!(app.app.sockets.has_owner(ana.platform.id, &own, ana.user.id), "it is known whose it is");
    drop(client);
    app.is_offline(&ana.platform, &ana.user).await;
    for wrong in ["", "1", "a.b"] {
        let (status, told) = answer(ask([("socket_id", wrong.to_owned())])).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(told["errors"]["socket_id"][0].is_string(), "{told}");
    }
    assert_eq!(app.post(path, json!({"socket_id": "1.1"})).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_backend_ends_all_connections_of_a_user() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    let mut clients = Vec::new();
    for user in ["7", "7", "8"] {
        let mut client = Client::connect(&app, &acme).await;
        client.signs_in(&json!({"id": user})).await;
        client.next_of("pusher:signin_success").await;
        clients.push(client);
    }
    assert_eq!(backend.get("connections", &[]).await.1, json!({"connections": 3}));
    let ended = backend.post("users/7/terminate_connections", &Value::Null).await;
    assert_eq!(ended, (StatusCode::OK, json!({})));
    for client in &mut clients[..2] {
        assert_eq!(client.error().await, 4009);
        assert_eq!(client.hear().await, Said::Closed(4009));
    }
    assert!(clients[2].so_far().await.is_empty());
    until(|| app.app.sockets.connections(acme.id) == 1).await;
}
