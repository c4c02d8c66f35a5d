//! The Neptun door, from the outside.

mod accounts;
mod answers;
mod batches;
mod chats;
mod codes;
mod errors;
mod files;
mod forms;
mod issues;
mod pages;
mod runs;
mod seed;
mod shares;
mod streams;
mod taking_back;

use serde_json::{Value, json};

/// The issues of a refusal, each as its code, its path and its message.
pub fn issues(body: &Value) -> Vec<(String, Value, String)> {
    assert_eq!(body["data"]["name"], "ZodError", "{body}");
    let issue = |issue: &Value| {
        let word = |name: &str| issue[name].as_str().unwrap_or_else(|| panic!("no {name}: {issue}")).to_owned();
        (word("code"), issue["path"].clone(), word("message"))
    };
    body["data"]["issues"].as_array().expect("a list").iter().map(issue).collect()
}

/// One issue, as [`issues`] tells it.
pub fn issue(code: &str, path: Value, message: &str) -> (String, Value, String) {
    (code.to_owned(), path, message.to_owned())
}

/// An empty refusal of that status.
pub fn refusal(status: u16, message: &str) -> Value {
    json!({"statusCode": status, "statusMessage": message, "stack": []})
}
