//! Libraries that talk to assistants: OpenAI's for Node and Python at the OpenAI door; the AI SDK of today at its own,
//! and of version 4 at the Neptun door.

use serde_json::{Value, json};

use crate::knowledge::Librarian;
use crate::support::app::TestApp;
use crate::support::script::{Script, node, python_with};

/// How many words the long answers have.
const WORDS: usize = 40;

/// A server whose assistant takes its time, so that there is a middle.
async fn slow() -> TestApp {
    TestApp::with(|config| config.assistant.echo_pause_ms = 10).await
}

/// What a document answers.
const QUESTION: &str = "When does the bakery open?";

async fn knows_the_hours(app: &TestApp) {
    let librarian = Librarian::new(app, None, "librarian", true).await;
    librarian.publishes("hours.txt", b"The bakery opens at seven in the morning.").await;
}

fn echo(words: usize) -> String {
    format!("Echo: {}", vec!["word"; words].join(" "))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// What one of `OpenAI`'s libraries comes to.
async fn openai(start: impl Fn(&Value) -> Option<Script>, conversation: &str) {
    let app = slow().await;
    let lan = app.key_holder("Lan").await;
    let world = json!({"url": app.url, "key": lan.key, "words": WORDS});
    let Some(script) = start(&world) else { return };
    let result = script.result().await;
    assert_eq!(
        (&result["models"][0], &result["retrieved"]),
        (&json!("default"), result["models"].as_array().unwrap().last().unwrap())
    );
    for member in ["whole", "streamed"] {
        assert_eq!(result[member], "Echo: What is AI?", "{member}");
    }
    assert!(!result["usage"].is_null(), "{result}");
    assert_eq!((&result["response"], &result["next"]), (&json!("Echo: one two"), &json!("Echo: three")));
    assert_eq!(result["conversations"][0], result["conversations"][1]);
    assert_eq!(lan.transcript(conversation).await.len(), 2);
    let (before, heard) = (text(&result["before"]), &result["heard"]);
    assert!(before.len() < echo(WORDS).len(), "it was given up in the middle: {before}");
    for whole in [&heard["text"], &heard["completed"], &result["final"]] {
        assert_eq!(text(whole), echo(WORDS));
    }
    let stopped = &result["stopped"];
    assert_eq!(stopped["begun"], "in_progress", "{stopped}");
    assert_eq!((&stopped["status"], &stopped["last"]), (&json!("cancelled"), &json!("response.incomplete")));
    assert!(
        text(&stopped["text"]).len() < echo(2 * WORDS).len() && echo(2 * WORDS).starts_with(text(&stopped["text"]))
    );
    assert_eq!(stopped["kept"], json!(["cancelled", stopped["text"]]));
    let refused = &result["refused"];
    let kinds = ["stranger", "model", "field", "response"].map(|what| (&refused[what]["kind"], &refused[what]["code"]));
    let want = json!([
        ["AuthenticationError", "invalid_api_key"],
        ["NotFoundError", "model_not_found"],
        ["BadRequestError", "invalid_value"],
        ["NotFoundError", null],
    ]);
    assert_eq!(json!(kinds), want, "{refused}");
    assert_eq!(refused["field"]["param"], "messages[0].role");
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_library_for_node_streams_stops_and_resumes() {
    openai(|world| node("openai.mjs", world), "from-node").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_library_for_python_streams_stops_and_resumes() {
    let start =
        |world: &Value| python_with("OpenAI's library for Python", "SUITE_OPENAI_PYTHON", "assistant.py", world);
    openai(start, "from-python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdk_streams_resumes_and_is_stopped() {
    let app = slow().await;
    knows_the_hours(&app).await;
    let world = json!({"url": app.url, "words": WORDS, "question": QUESTION});
    let Some(script) = node("chat.mjs", &world) else { return };
    let result = script.result().await;
    let (asked, answer) = ("What is AI?", "Echo: What is AI?");
    assert_eq!(result["plain"], json!({"status": "ready", "error": null, "texts": [asked, answer]}));
    assert_eq!(result["ids"][0], result["ids"][1], "the list names the answer as the stream did");
    assert_eq!(result["regenerated"], json!([asked, answer]));
    assert_eq!(result["idle"], json!(["ready", 0]));
    let source = &result["sources"]["shown"][0];
    assert_eq!((&source["type"], &source["mediaType"]), (&json!("source-document"), &json!("text/plain")), "{result}");
    assert!(text(&source["providerMetadata"]["roost"]["text"]).contains("seven"), "{source}");
    assert_eq!(result["sources"]["shown"], result["sources"]["stored"], "what was shown is what is stored");
    let resumed = &result["resumed"];
    let shown = text(&resumed["shown"]);
    assert!(echo(WORDS).starts_with(shown) && shown.len() < echo(WORDS).len(), "{resumed}");
    assert_eq!((&resumed["loaded"], &resumed["count"], &resumed["status"]), (&json!(1), &json!(2), &json!("ready")));
    assert_eq!(text(&resumed["text"]), echo(WORDS), "{resumed}");
    assert_eq!(resumed["stored"][1], json!([true, echo(WORDS)]), "what was shown is what is stored");
    let stopped = &result["stopped"];
    assert_eq!((&stopped["stop"], &stopped["status"]), (&json!({"stopped": true}), &json!("ready")), "{stopped}");
    assert_eq!(stopped["text"], stopped["stored"], "what was shown is what is stored");
    assert!(echo(2 * WORDS).starts_with(text(&stopped["text"])) && stopped["error"].is_null(), "{stopped}");
    assert_eq!(result["read"], "Echo: by hand");
    assert_eq!(result["wrong"]["status"], "error");
    assert!(text(&result["wrong"]["message"]).contains("may not be empty"), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_4_of_the_ai_sdk_reads_the_neptun_doors_answers() {
    let app = slow().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let world = json!({"url": app.url, "cookie": lan.cookie, "chat": chat, "words": WORDS,
        "framed": "openrouter/deepseek-chat", "bare": "google/gemma-2-27b-it", "question": QUESTION});
    knows_the_hours(&app).await;
    let Some(script) = node("chat4.mjs", &world) else { return };
    let result = script.result().await;
    let framed = &result["framed"];
    assert_eq!(framed["text"], "Echo: What is \"AI\"?\nTell me");
    assert_eq!(framed["parts"], json!(["startStep", "finishStep", "finish"]), "{framed}");
    assert_eq!(framed["finish"]["finishReason"], "stop");
    assert_eq!(result["bare"], json!({"text": "Echo: What is AI?", "parts": [], "sources": []}));
    let source = &result["sources"][0];
    assert_eq!(source["sourceType"], "url", "{result}");
    assert!(text(&source["providerMetadata"]["roost"]["text"]).contains("seven"), "{source}");
    assert_eq!(result["broken"], "AbortError", "{result}");
    assert!(text(&result["before"]).len() < echo(WORDS).len(), "{result}");
    assert_eq!((&result["replayed"], text(&result["again"]["text"])), (&json!("true"), &echo(WORDS)[..]));
    let said: Vec<_> = lan.transcript(chat).await;
    assert_eq!((said.len(), said.last().unwrap().1.as_str()), (8, &echo(WORDS)[..]), "asked once, made to its end");
}
