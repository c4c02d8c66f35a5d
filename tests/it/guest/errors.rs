//! Every error of the door: status, type, code and text, in English and Vietnamese.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use crate::support::app::{TestApp, whole_answer};

/// A refusal as the table of the dialect has it.
struct Refusal {
    status: u16,
    kind: &'static str,
    code: &'static str,
    en: &'static str,
    vi: &'static str,
}

/// What the test below brings about, in this order.
const TABLE: &[Refusal] = &[
    Refusal {
        status: 400,
        kind: "ValidationError",
        code: "VALIDATION_FAILED",
        en: "Validation failed",
        vi: "Dữ liệu không hợp lệ",
    },
    Refusal {
        status: 401,
        kind: "Unauthorized",
        code: "UNAUTHORIZED",
        en: "Authentication required",
        vi: "Yêu cầu đăng nhập",
    },
    Refusal {
        status: 403,
        kind: "Forbidden",
        code: "FORBIDDEN",
        en: "You are not assigned to this chat session",
        vi: "Bạn không được phân công cho phiên trò chuyện này",
    },
    Refusal {
        status: 404,
        kind: "NotFound",
        code: "NOT_FOUND",
        en: "Resource not found",
        vi: "Không tìm thấy tài nguyên",
    },
    Refusal {
        status: 404,
        kind: "NotFound",
        code: "NOT_FOUND",
        en: "Endpoint not found",
        vi: "Không tìm thấy địa chỉ này",
    },
    Refusal {
        status: 405,
        kind: "Method Not Allowed",
        code: "METHOD_NOT_ALLOWED",
        en: "Method not allowed",
        vi: "Phương thức không được phép",
    },
    Refusal {
        status: 409,
        kind: "Conflict",
        code: "IDEMPOTENCY_KEY_REUSED",
        en: "This Idempotency-Key was used with another message. Use a new key for a new message.",
        vi: "Idempotency-Key này đã được dùng cho tin nhắn khác. Hãy dùng khóa mới cho tin nhắn mới.",
    },
    Refusal {
        status: 413,
        kind: "PayloadTooLarge",
        code: "PAYLOAD_TOO_LARGE",
        en: "The request body is too large",
        vi: "Nội dung yêu cầu quá lớn",
    },
    Refusal {
        status: 415,
        kind: "UnsupportedMediaType",
        code: "UNSUPPORTED_MEDIA_TYPE",
        en: "Send JSON, with Content-Type: application/json",
        vi: "Hãy gửi JSON, với Content-Type: application/json",
    },
    Refusal {
        status: 503,
        kind: "ServiceUnavailable",
        code: "SERVICE_BUSY",
        en: "The server is busy. Try again in a moment.",
        vi: "Máy chủ đang bận. Vui lòng thử lại sau giây lát.",
    },
];

async fn assert_refused(request: RequestBuilder, want: &Refusal) {
    let again = request.try_clone().expect("a body that can be sent twice");
    for (request, language, text) in [(request, "en", want.en), (again, "vi-VN,vi;q=0.9", want.vi)] {
        let (status, headers, body) = whole_answer(request.header("accept-language", language)).await;
        let error = &body["error"];
        assert_eq!(
            (status.as_u16(), &error["type"], &error["code"], &body["message"]),
            (want.status, &json!(want.kind), &json!(want.code), &json!(text)),
            "{body}"
        );
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-request-id"], body["trace_id"].as_str().expect("a trace id"));
        let has_details = error.get("details").is_some();
        assert_eq!(has_details, want.status == 400, "details are for validation only: {body}");
    }
}

#[tokio::test]
async fn each_refusal_is_as_the_table_says() {
    let app = TestApp::with(|config| config.http.streams_max = 1).await;
    let (guest, mai, tam) = (app.guest().await, app.staff("Mai").await, app.staff("Tam").await);
    mai.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
    let post = |path: &str| app.request(Method::POST, path);
    let get = |path: &str| app.request(Method::GET, path);
    let staff_message = format!("/api/v1/chat/sessions/{}/staff-message", guest.id);
    let keyed = || post(&guest.path("message")).header("idempotency-key", "k1");
    keyed().json(&json!({"message": "first"})).send().await.unwrap();
    let _held = guest.follows(0).await;
    let requests = [
        post(&guest.path("message")).json(&json!({})),
        get("/api/v1/auth/me"),
        post(&staff_message).bearer_auth(&tam.token).json(&json!({"message": "a"})),
        post("/api/v1/chat/guest/nobody/message").json(&json!({"message": "a"})),
        get("/api/v1/nowhere"),
        get(&guest.path("message")),
        keyed().json(&json!({"message": "another"})),
        post(&guest.path("message")).body(vec![b'a'; 300 << 10]),
        post(&guest.path("message")).header("content-type", "text/plain").body("a"),
        get(&guest.path("events")),
    ];
    for (request, want) in requests.into_iter().zip(TABLE) {
        assert_refused(request, want).await;
    }
}

#[tokio::test]
async fn a_limit_is_refused_as_the_table_says() {
    let app = TestApp::with(|config| {
        config.limits.enabled = true;
        config.limits.guest_send_per_minute = 1;
    })
    .await;
    let guest = app.guest().await;
    guest.says("one").await;
    let request = app.request(Method::POST, &guest.path("message")).json(&json!({"message": "two"}));
    let (en, vi) = ("Too many requests", "Quá nhiều yêu cầu");
    let want = Refusal { status: 429, kind: "RateLimitExceeded", code: "RATE_LIMIT_EXCEEDED", en, vi };
    assert_refused(request, &want).await;
}

#[tokio::test]
async fn who_does_not_ask_for_a_language_is_answered_in_english() {
    let app = TestApp::start().await;
    for (path, header, want) in [
        ("/api/v1/nowhere", None, "Endpoint not found"),
        ("/api/v1/nowhere", Some("fr, de;q=0.5"), "Endpoint not found"),
        ("/api/v1/nowhere", Some("ja"), "Endpoint not found"),
        ("/api/v1/nowhere", Some(";;q=,\u{7f}"), "Endpoint not found"),
        ("/api/v1/nowhere?language=vi", None, "Không tìm thấy địa chỉ này"),
        ("/api/v1/nowhere?locale=vi", None, "Không tìm thấy địa chỉ này"),
        ("/api/v1/nowhere?locale=vi", Some("en"), "Endpoint not found"),
        ("/api/v1/nowhere", Some("en;q=0.2, vi;q=0.8"), "Không tìm thấy địa chỉ này"),
    ] {
        let request = app.request(Method::GET, path);
        let request = match header.map(reqwest::header::HeaderValue::from_str) {
            Some(Ok(value)) => request.header("accept-language", value),
            _ => request,
        };
        let (status, _, body) = whole_answer(request).await;
        assert_eq!((status, &body["message"]), (StatusCode::NOT_FOUND, &json!(want)), "{path} {header:?}");
    }
}

#[tokio::test]
async fn both_languages_have_the_same_texts() {
    let texts = roost::api::guest::texts();
    let english = include_str!("../../../texts/guest.en.ftl");
    let ids = english.lines().filter_map(|line| line.split_once(" = ")).map(|(id, _)| id);
    let missing: Vec<_> = ids.filter(|id| !texts.has(roost::domain::Language::Vi, id)).collect();
    assert!(missing.is_empty(), "not translated: {missing:?}");
}
