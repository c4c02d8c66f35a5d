//! Every field of every route: missing, null, of another type, too long, hostile; in three languages.

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::support::app::{TestApp, answer};
use crate::support::pigeon::Pigeon;

/// What a field has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A string of at most so many characters.
    String(usize),
    Uuid,
    Word,
    Integer,
    Boolean,
    Object,
    Array,
}

/// A field of a route, by its path, and whether it has to be there.
struct Field(&'static str, Kind, bool);

/// Every route that reads a body, with its fields; `{conversation}`, `{message}` and `{user}` stand for what is there.
const ROUTES: &[(&str, &str, &[Field])] = &[
    (
        "POST",
        "conversations",
        &[
            Field("participant_uuid", Kind::Uuid, true),
            Field("taggable_type", Kind::String(255), false),
            Field("taggable_id", Kind::Integer, false),
        ],
    ),
    ("PATCH", "conversations/{conversation}", &[Field("is_archived", Kind::Boolean, true)]),
    ("POST", "conversations/{conversation}/read", &[Field("message_id", Kind::String(255), false)]),
    (
        "POST",
        "messages",
        &[
            Field("conversation_uuid", Kind::Uuid, true),
            Field("receiver_uuid", Kind::Uuid, true),
            Field("context_text", Kind::String(5000), true),
            Field("context_type", Kind::Word, true),
            Field("attachments", Kind::Array, false),
            Field("metadata", Kind::Object, false),
            Field("device", Kind::Object, false),
            Field("device.type", Kind::Word, true),
            Field("device.os", Kind::String(255), true),
            Field("device.os_version", Kind::String(255), false),
            Field("device.app_version", Kind::String(255), false),
            Field("device.model", Kind::String(255), false),
            Field("device.browser", Kind::String(255), false),
            Field("device.browser_version", Kind::String(255), false),
        ],
    ),
    ("PATCH", "messages/{message}", &[Field("context_text", Kind::String(5000), true)]),
    ("POST", "messages/{message}/reactions", &[Field("emoji", Kind::String(10), true)]),
    (
        "POST",
        "devices",
        &[
            Field("token", Kind::String(4096), true),
            Field("platform", Kind::Word, true),
            Field("device", Kind::Object, false),
            Field("device.type", Kind::String(255), false),
            Field("device.os", Kind::String(255), false),
            Field("device.browser_version", Kind::String(255), false),
        ],
    ),
    (
        "PUT",
        "/api/v1/pigeons/users/{user}",
        &[
            Field("avatar", Kind::String(2048), false),
            Field("phone", Kind::String(20), false),
            Field("language", Kind::Word, false),
        ],
    ),
    ("PUT", "/api/v1/pigeons/users/{user}/roles/driver", &[Field("status", Kind::Word, true)]),
    (
        "POST",
        "/broadcasting/auth",
        &[Field("socket_id", Kind::String(41), true), Field("channel_name", Kind::String(164), true)],
    ),
    (
        "POST",
        "/api/v1/auth/register",
        &[
            Field("device", Kind::String(255), true),
            Field("name", Kind::String(255), true),
            Field("email", Kind::String(255), true),
            Field("password", Kind::String(255), true),
            Field("phone", Kind::String(20), false),
            Field("language", Kind::Word, false),
        ],
    ),
];

/// Somebody who may do all of it, and what it is done to.
struct Stage<'a> {
    mai: Pigeon<'a>,
    conversation: String,
    message: String,
}

impl<'a> Stage<'a> {
    async fn set(app: &'a TestApp) -> Self {
        let acme = app.platform("Acme").await;
        let (mai, rui) = (app.pigeon_of_staff(&acme, "Mai").await, app.pigeon(&acme, "Rui").await);
        let conversation = mai.opens(&rui).await;
        let message = mai.says(&conversation, &rui, "hello").await;
        Self { mai, conversation, message }
    }

    async fn send(&self, method: &str, path: &str, body: &Value, language: &str) -> (StatusCode, Value) {
        let path = path.replace("{conversation}", &self.conversation).replace("{message}", &self.message);
        let path = path.replace("{user}", &self.mai.uuid());
        let request = self.mai.request(Method::from_bytes(method.as_bytes()).unwrap(), &path);
        answer(request.header("accept-language", language).json(body)).await
    }

    /// The sentences about a field.
    async fn told(&self, route: (&str, &str), body: &Value, field: &str) -> Vec<String> {
        let (status, answer) = self.send(route.0, route.1, body, "en").await;
        assert!(status.is_success() || status.is_client_error(), "{route:?} {status} {body:.200}");
        let Some(errors) = answer["errors"].as_object() else { return Vec::new() };
        let refused = if route.1.ends_with("register") { 400 } else { 422 };
        assert_eq!((status.as_u16(), &answer["message"]), (refused, &json!("The given data was invalid.")));
        let sentences = errors.get(field).and_then(Value::as_array).into_iter().flatten();
        sentences.map(|sentence| sentence.as_str().expect("a sentence").to_owned()).collect()
    }
}

/// A body that holds only that field.
fn only(field: &str, value: Value) -> Value {
    match field.split_once('.') {
        Some((outer, inner)) => json!({outer: {inner: value}}),
        None => json!({field: value}),
    }
}

/// A field's name in a sentence.
fn spoken(field: &str) -> String {
    field.replace('_', " ")
}

#[tokio::test]
async fn a_field_that_is_missing_null_or_blank_counts_as_missing() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    for (method, path, fields) in ROUTES {
        for Field(name, kind, is_required) in *fields {
            let want = format!("The {} field is required.", spoken(name));
            let mut values = vec![Value::Null];
            if !matches!(kind, Kind::Object | Kind::Array) && *name != "password" {
                values.extend([json!(""), json!(" \t\n\u{2003}")]);
            }
            let bodies = values.into_iter().map(|value| only(name, value)).chain([json!({})]);
            for body in bodies {
                let told = stage.told((method, path), &body, name).await;
                assert_eq!(told.contains(&want), *is_required, "{path} {name} {body}: {told:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_field_of_another_type_is_refused_in_laravels_words() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    for (method, path, fields) in ROUTES {
        for Field(name, kind, _) in *fields {
            let sentence = match kind {
                Kind::String(_) | Kind::Uuid | Kind::Word => "must be a string.",
                Kind::Integer => "must be an integer.",
                Kind::Boolean => "must be true or false.",
                Kind::Object | Kind::Array => "must be an array.",
            };
            let want = format!("The {} field {sentence}", spoken(name));
            for value in [json!(7), json!(-1.5), json!(1e300), json!(true), json!("x"), json!(["a"]), json!({"a": "b"})]
            {
                let is_fine = match kind {
                    Kind::String(_) | Kind::Uuid | Kind::Word => value.is_string(),
                    Kind::Integer => value.is_i64(),
                    Kind::Boolean => value.is_boolean(),
                    Kind::Object => value.is_object(),
                    Kind::Array => value.is_array(),
                };
                if !is_fine {
                    let told = stage.told((method, path), &only(name, value.clone()), name).await;
                    assert!(told.contains(&want), "{path} {name} {value}: {told:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_field_that_is_too_long_is_refused_by_its_characters() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    for (method, path, fields) in ROUTES {
        for Field(name, kind, _) in *fields {
            let Kind::String(max) = *kind else { continue };
            // A cursor's length is nobody's concern once it names nothing.
            if *name == "message_id" {
                continue;
            }
            let want = format!("The {} field must not be greater than {max} characters.", spoken(name));
            for letter in ["a", "ế", "🦉"] {
                let told = stage.told((method, path), &only(name, json!(letter.repeat(max + 1))), name).await;
                assert!(told.contains(&want), "{path} {name} {letter}: {told:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once_in_the_order_of_the_fields() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    for (method, path, fields) in ROUTES {
        let inner = |name: &str| fields.iter().any(|Field(other, ..)| other.starts_with(&format!("{name}.")));
        let (mut body, mut want) = (Map::new(), Vec::new());
        for Field(name, kind, _) in *fields {
            let wrong = if *kind == Kind::Boolean { json!("perhaps") } else { json!(1.5) };
            match name.split_once('.') {
                Some((outer, member)) => {
                    let object = body.entry(outer.to_owned()).or_insert_with(|| json!({}));
                    object[member] = wrong;
                }
                None if inner(name) => continue,
                None => {
                    body.insert((*name).to_owned(), wrong);
                }
            }
            want.push((*name).to_owned());
        }
        let (_, answer) = stage.send(method, path, &Value::Object(body), "en").await;
        let mut told: Vec<_> =
            answer["errors"].as_object().unwrap_or_else(|| panic!("{answer}")).keys().cloned().collect();
        told.sort();
        want.sort();
        assert_eq!(told, want, "{path}");
    }
}

#[tokio::test]
async fn rules_of_conversations_and_messages_are_told_in_words() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let many = |count: usize| Value::Array(vec![json!({}); count]);
    let large = json!({"x": "x".repeat(40_000)});
    for (route, field, value, want) in [
        (
            ("POST", "conversations"),
            "participant_uuid",
            json!("not-one"),
            "The participant uuid field must be a valid UUID.",
        ),
        (
            ("POST", "conversations"),
            "participant_uuid",
            json!("00000000-0000-4000-8000-000000000000"),
            "The selected participant uuid is invalid.",
        ),
        (
            ("POST", "conversations"),
            "participant_uuid",
            json!(stage.mai.uuid()),
            "The selected participant uuid is invalid.",
        ),
        (("POST", "messages"), "context_type", json!("poem"), "The selected context type is invalid."),
        (("POST", "messages"), "device.type", json!("toaster"), "The selected device.type is invalid."),
        (("POST", "messages"), "device.os", json!("a\u{0}b"), "The device.os field format is invalid."),
        (("POST", "messages"), "attachments", many(21), "The attachments field must not have more than 20 items."),
        (
            ("POST", "messages"),
            "attachments",
            json!([large]),
            "The attachments field must not be greater than 32768 bytes.",
        ),
        (("POST", "messages"), "metadata", large.clone(), "The metadata field must not be greater than 32768 bytes."),
        (("POST", "devices"), "platform", json!("symbian"), "The selected platform is invalid."),
        (
            ("POST", "conversations/{conversation}/read"),
            "message_id",
            json!("9"),
            "The selected message id is invalid.",
        ),
    ] {
        let told = stage.told(route, &only(field, value), field).await;
        assert!(told.iter().any(|sentence| sentence == want), "{route:?} {field}: {told:?}");
    }
    let told = stage.told(("POST", "messages"), &json!({"attachments": [{}, "x", 1]}), "attachments.1").await;
    assert_eq!(told, ["The attachments.1 field must be an array."]);
}

#[tokio::test]
async fn rules_of_accounts_and_subscriptions_are_told_in_words() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    for (route, field, value, want) in [
        (
            ("PUT", "/api/v1/pigeons/users/{user}"),
            "avatar",
            json!("javascript:alert(1)"),
            "The avatar field format is invalid.",
        ),
        (("PUT", "/api/v1/pigeons/users/{user}"), "language", json!("vi"), "The selected language is invalid."),
        (("PUT", "/api/v1/pigeons/users/{user}"), "name", json!(null), "The name field is required."),
        (
            ("PUT", "/api/v1/pigeons/users/{user}/roles/driver"),
            "status",
            json!("maybe"),
            "The selected status is invalid.",
        ),
        (("POST", "/broadcasting/auth"), "socket_id", json!("12"), "The socket id field format is invalid."),
        (("POST", "/api/v1/auth/register"), "email", json!("a@b@c"), "The email field must be a valid email address."),
        (
            ("POST", "/api/v1/auth/register"),
            "password",
            json!("short"),
            "The password field must be at least 8 characters.",
        ),
        (
            ("POST", "/api/v1/auth/register"),
            "password",
            json!("long enough"),
            "The password field confirmation does not match.",
        ),
    ] {
        let told = stage.told(route, &only(field, value), field).await;
        assert!(told.iter().any(|sentence| sentence == want), "{route:?} {field}: {told:?}");
    }
    let (status, body) =
        stage.send("PUT", "/api/v1/pigeons/users/{user}/roles/a b", &json!({"status": "approved"}), "en").await;
    assert_eq!((status.as_u16(), &body["errors"]["role"][0]), (422, &json!("The role field format is invalid.")));
}

#[tokio::test]
async fn sentences_are_told_in_three_languages() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let body = json!({
        "conversation_uuid": "x", "context_text": "x".repeat(5001), "context_type": "poem", "metadata": 1,
        "attachments": vec![json!({}); 21], "device": {"os": 1},
    });
    for (language, message, want) in [
        (
            "pt-BR",
            "Os dados fornecidos são inválidos.",
            [
                "O campo conversation uuid deve ser um UUID válido.",
                "O campo receiver uuid é obrigatório.",
                "O campo context text não pode ser superior a 5000 caracteres.",
                "O campo context type selecionado é inválido.",
                "O campo attachments não pode ter mais do que 20 itens.",
                "O campo metadata deve ser uma matriz.",
                "O campo device.type é obrigatório.",
                "O campo device.os deve ser uma string.",
            ],
        ),
        (
            "es",
            "Los datos proporcionados no son válidos.",
            [
                "El campo conversation uuid debe ser un UUID válido.",
                "El campo receiver uuid es obligatorio.",
                "El campo context text no debe ser mayor que 5000 caracteres.",
                "El campo context type seleccionado no es válido.",
                "El campo attachments no debe tener más de 20 elementos.",
                "El campo metadata debe ser un conjunto.",
                "El campo device.type es obligatorio.",
                "El campo device.os debe ser una cadena de caracteres.",
            ],
        ),
    ] {
        let (_, answer) = stage.send("POST", "messages", &body, language).await;
        assert_eq!(answer["message"], message);
        let fields = [
            "conversation_uuid",
            "receiver_uuid",
            "context_text",
            "context_type",
            "attachments",
            "metadata",
            "device.type",
            "device.os",
        ];
        for (field, want) in fields.into_iter().zip(want) {
            assert_eq!(answer["errors"][field], json!([want]), "{language} {field}");
        }
    }
}

#[tokio::test]
async fn a_form_says_the_same_as_json() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let (to, of) = (rui.uuid(), conversation.as_str());
    let form = [
        ("conversation_uuid", of),
        ("receiver_uuid", &to),
        ("context_text", "  from a form "),
        ("context_type", "text"),
        ("device[type]", "web"),
        ("device[os]", "Linux"),
        ("metadata[order]", "7"),
        ("attachments[0][kind]", "note"),
        ("attachments[1][kind]", "list"),
    ];
    let (status, told) = answer(ana.request(Method::POST, "messages").form(&form)).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    let data = &told["data"];
    assert_eq!((&data["context"]["text"], &data["metadata"]), (&json!("from a form"), &json!({"order": "7"})));
    assert_eq!(data["attachments"], json!([{"kind": "note"}, {"kind": "list"}]));
    assert_eq!(data["device"], json!({"type": "web", "os": "Linux"}));
    let (status, told) = answer(ana.request(Method::POST, "messages").form(&[("device[os]", "Linux")])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(told["errors"]["device.type"], json!(["The device.type field is required."]));
}

#[tokio::test]
async fn what_people_type_is_cleaned_and_kept() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let mut body = ana.message(&conversation, &rui, "  <b>Olá</b> \u{202e}👩‍👩‍👧\r\nсъёмка\u{7} ");
    // An empty object as PHP writes it.
    body["metadata"] = json!([]);
    let (status, told) = ana.post("messages", body).await;
    assert_eq!((status, &told["data"]["metadata"]), (StatusCode::CREATED, &json!({})), "{told}");
    assert_eq!(told["data"]["context"]["text"], "<b>Olá</b> 👩‍👩‍👧\nсъёмка");
    let longest = "🦉".repeat(5000);
    let id = ana.says(&conversation, &rui, &longest).await;
    let list = rui.lists(&conversation).await;
    assert_eq!((&list[1]["id"], &list[1]["context"]["text"]), (&json!(id), &json!(longest)));
}
