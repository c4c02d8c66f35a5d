//! The shape of calm code: files and functions that fit into a head, and nothing left undone.

use super::assert_none;
use super::source::{Source, files, rust};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer, and why.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// Tests that may sleep, and why.
const SLEEPS: &[(&str, &str)] = &[
    ("tests/it/support/app.rs", "the pause between two looks at a condition"),
    ("tests/it/store_sqlite.rs", "the pause between two looks at a condition"),
    ("tests/it/many_connections.rs", "the pause between two looks at a condition"),
    ("tests/it/promises/every_transport.rs", "the pause between two tries, and two looks at a condition"),
];

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> =
        rust().into_iter().filter(|file| !file.text.starts_with("//!")).map(|file| file.path).collect();
    assert_none("a file opens with //! and what it is for", &silent);
}

#[test]
fn files_fit_into_a_head() {
    let long = rust().into_iter().map(|file| (file.text.lines().count(), file.path));
    let long: Vec<_> = long.filter(|(lines, _)| *lines > FILE_LINES_MAX).map(|(_, path)| path).collect();
    assert_allowed("at most 500 lines a file", &long, LONG_FILES);
}

#[test]
fn functions_fit_on_a_screen() {
    let long: Vec<_> = rust().iter().flat_map(long_functions).collect();
    assert_allowed("at most 70 lines a function", &long, LONG_FUNCTIONS);
}

/// Formatted code ends a function with a brace as deep as its first line.
fn long_functions(file: &Source) -> Vec<String> {
    let mut open: Vec<(usize, usize, &str)> = Vec::new();
    let mut long = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let depth = line.len() - line.trim_start().len();
        if let Some(name) = function_name(line) {
            open.push((depth, at, name));
        } else if line.trim() == "}"
            && let Some(index) = open.iter().rposition(|(start, ..)| *start == depth)
        {
            let (_, start, name) = open[index];
            open.truncate(index);
            if at + 1 - start > FUNCTION_LINES_MAX {
                long.push(format!("{}::{name}", file.path));
            }
        }
    }
    long
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_start = before
        .split_whitespace()
        .all(|word| word.starts_with("pub") || ["async", "const", "unsafe", "super)", "crate)"].contains(&word));
    let is_whole = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
    (is_start && !is_whole).then(|| after.split(['(', '<']).next().unwrap_or(after))
}

#[test]
fn nothing_is_left_undone() {
    // Spelled in two halves, so that this list is not found.
    let words: Vec<_> =
        [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("unimpl", "emented!"), ("to", "do!"), ("#[ig", "nore")]
            .iter()
            .map(|(a, b)| format!("{a}{b}"))
            .collect();
    let all = [rust(), files("scripts", ""), files(".ci", ""), files("migrations", ".sql"), files("docs", ".md")];
    let mut findings = Vec::new();
    for file in all.iter().flatten() {
        let lines = file.text.lines().enumerate();
        let left = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word.as_str())));
        findings.extend(left.map(|(at, line)| file.at(at + 1, line)));
    }
    assert_none("what is left to do stands in an issue, not in the code", &findings);
}

#[test]
fn tests_wait_for_conditions() {
    let sleep = format!("slee{}", "p(");
    let tests = files("tests", ".rs");
    let asleep = tests.iter().filter(|file| file.code().any(|(_, code)| code.contains(&sleep)));
    let asleep: Vec<_> = asleep.map(|file| file.path.clone()).collect();
    assert_allowed("a test waits for a condition, never for time to pass", &asleep, SLEEPS);
}

/// Fails for what is found and not allowed, and for what is allowed and not found.
fn assert_allowed(rule: &str, found: &[String], allowed: &[(&str, &str)]) {
    let is_allowed = |name: &String| allowed.iter().any(|(known, _)| known == name);
    let broken: Vec<_> = found.iter().filter(|name| !is_allowed(name)).cloned().collect();
    assert_none(rule, &broken);
    let idle = allowed.iter().filter(|(known, _)| !found.iter().any(|name| name == known));
    let idle: Vec<_> = idle.map(|(known, _)| format!("{known} needs no exception any more")).collect();
    assert_none(rule, &idle);
}

/// What holds a password, a token, a secret or a hash of one says itself how it is shown in a log.
#[test]
fn secrets_are_not_shown_by_derive() {
    let shown: Vec<_> = super::source::program().iter().flat_map(derived_with_a_secret).collect();
    assert_none("no derive(Debug) on a struct that holds a secret", &shown);
}

const SECRETS: &[&str] = &["password", "password_hash", "hash", "secret", "token", "sealed", "secret_key"];

fn derived_with_a_secret(file: &Source) -> Vec<String> {
    let (mut found, mut is_derived) = (Vec::new(), false);
    for (at, line) in file.code() {
        if line.starts_with("#[derive(") {
            is_derived = line.contains("Debug");
        } else if line.starts_with('}') || line.ends_with(';') {
            is_derived = false;
        }
        let field =
            line.strip_prefix("    ").and_then(|line| line.strip_prefix("pub ").unwrap_or(line).split_once(": "));
        if is_derived && field.is_some_and(|(name, _)| SECRETS.contains(&name)) {
            found.push(file.at(at, line));
        }
    }
    found
}
