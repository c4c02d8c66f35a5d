//! Who may call whom: arrows go down only, never sideways.

use super::assert_none;
use super::source::{Source, has_word, program};

/// A module, the modules that it may use besides itself, and words that it never says.
struct Layer {
    module: &'static str,
    uses: &'static [&'static str],
    never: &'static [&'static str],
}

/// What knows HTTP.
const HTTP: &[&str] = &["axum", "hyper", "tower", "utoipa", "reqwest"];

/// Every module but those that wire the others together, from the bottom up.
const LAYERS: &[Layer] = &[
    Layer {
        module: "domain",
        uses: &[],
        never: &["async", "await", "tokio", "serde", "serde_json", "rusqlite", "axum", "utoipa", "fs", "net"],
    },
    Layer { module: "error", uses: &["domain"], never: HTTP },
    Layer { module: "clock", uses: &["domain"], never: HTTP },
    Layer { module: "config", uses: &[], never: HTTP },
    Layer { module: "texts", uses: &["domain"], never: HTTP },
    Layer { module: "redis", uses: &[], never: HTTP },
    Layer { module: "limits", uses: &["domain", "error", "redis"], never: HTTP },
    Layer { module: "local", uses: &["clock", "error"], never: &["axum", "hyper", "tower", "utoipa", "serde_json"] },
    Layer { module: "cluster", uses: &["domain", "error", "realtime", "store"], never: HTTP },
    Layer { module: "plant", uses: &[], never: HTTP },
    Layer { module: "memory", uses: &[], never: HTTP },
    Layer { module: "descriptors", uses: &[], never: HTTP },
    Layer { module: "telemetry", uses: &["config", "error"], never: HTTP },
    Layer { module: "mail", uses: &["domain", "error"], never: HTTP },
    Layer { module: "media", uses: &[], never: &["axum", "rusqlite", "tokio", "reqwest"] },
    Layer { module: "https", uses: &[], never: &["axum", "rusqlite", "serde"] },
    Layer { module: "objects", uses: &["error", "https"], never: &["axum", "rusqlite"] },
    Layer { module: "hooks", uses: &["domain", "error", "https"], never: &["axum", "rusqlite", "serde"] },
    Layer { module: "knowledge", uses: &["domain", "error"], never: &["axum", "hyper", "rusqlite", "serde"] },
    Layer { module: "store", uses: &["domain", "error", "config", "plant"], never: HTTP },
    Layer { module: "realtime", uses: &["domain", "config", "redis", "plant"], never: HTTP },
    Layer { module: "assistant", uses: &["domain", "error", "config", "https"], never: &["axum", "rusqlite"] },
    Layer { module: "push", uses: &["domain", "error", "config"], never: &["axum", "rusqlite"] },
    Layer {
        module: "chat",
        uses: &[
            "domain",
            "error",
            "store",
            "realtime",
            "assistant",
            "limits",
            "clock",
            "mail",
            "media",
            "objects",
            "hooks",
            "knowledge",
        ],
        never: &["axum", "hyper", "tower", "utoipa", "serde_json", "sqlite", "StatusCode"],
    },
    Layer { module: "jobs", uses: &["chat", "domain", "error", "store", "push", "clock", "hooks"], never: HTTP },
    Layer {
        module: "http",
        uses: &["error", "limits", "telemetry", "config", "clock", "domain", "realtime"],
        never: &["rusqlite", "guest", "chats"],
    },
    Layer {
        module: "api",
        uses: &["http", "chat", "realtime", "domain", "error", "limits", "texts", "config", "telemetry"],
        never: &["rusqlite", "sqlite", "assistant::", "push::", "store::"],
    },
];

/// What knows every part.
const WIRING: &[&str] = &["main", "lib", "app", "serve", "cli", "bench", "chaos"];

/// The dialects, which must not know each other.
const DIALECTS: &[&str] =
    &["guest", "chats", "pigeons", "neptun", "openai", "aisdk", "hooks", "pusher", "knowledge", "console"];

#[test]
fn modules_use_what_is_below_them() {
    let mut findings = Vec::new();
    for file in program().iter().filter(|file| !WIRING.contains(&file.module())) {
        let Some(layer) = LAYERS.iter().find(|layer| layer.module == file.module()) else {
            findings.push(format!("{}: the module has no place in the list of layers", file.path));
            continue;
        };
        let allowed = |module: &str| module == layer.module || layer.uses.contains(&module);
        for (line, code) in file.code() {
            let strangers = used(code).into_iter().filter(|module| !allowed(module));
            findings.extend(strangers.map(|module| file.at(line, &format!("{} uses {module}", layer.module))));
            let said = layer.never.iter().filter(|word| mentions(code, word));
            findings.extend(said.map(|word| file.at(line, &format!("{} says {word}", layer.module))));
        }
    }
    assert_none("arrows go down only", &findings);
}

/// The modules that a line takes from the crate: of `crate::a::b` and of `crate::{a::b, c}`.
fn used(code: &str) -> Vec<&str> {
    code.match_indices("crate::")
        .flat_map(|(at, path)| {
            let rest = &code[at + path.len()..];
            let list = rest.strip_prefix('{').map_or_else(|| vec![rest], |list| list.split(", ").collect());
            list.into_iter().map(|item| item.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
        })
        .filter(|module| module.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

/// Whether code says a word; one that ends in `::` only as a path's beginning.
fn mentions(code: &str, word: &str) -> bool {
    match word.strip_suffix("::") {
        Some(_) => code.contains(&format!("crate::{word}")),
        None => has_word(code, word),
    }
}

#[test]
fn a_dialect_does_not_know_another() {
    let mut findings = Vec::new();
    for dialect in DIALECTS {
        let folder = format!("src/api/{dialect}");
        for file in program().iter().filter(|file| file.is_in(&folder)) {
            let others = DIALECTS.iter().filter(|other| *other != dialect);
            let paths: Vec<_> =
                others.flat_map(|other| [format!("api::{other}"), format!("super::{other}::")]).collect();
            let lines = file.code().filter(|(_, code)| paths.iter().any(|path| code.contains(path.as_str())));
            findings.extend(lines.map(|(line, code)| file.at(line, code)));
        }
    }
    assert_none("a dialect translates; what two of them need belongs above or below", &findings);
}

#[test]
fn only_the_store_speaks_sql() {
    let elsewhere = lines(&|file| !file.is_in("src/store"), &|code| {
        let code = code.to_ascii_lowercase();
        let pairs = [("select ", " from "), ("insert into ", ""), ("update ", " set "), ("delete from ", "")];
        let is_sql = pairs.iter().any(|(first, then)| code.contains(&format!("\"{first}")) && code.contains(then));
        is_sql || has_word(&code, "rusqlite") || code.contains("create table")
    });
    assert_none("SQL belongs into the store", &elsewhere);
}

#[test]
fn only_the_clock_reads_the_clock_and_makes_ids() {
    // `Instant::now` measures and never leaves the process, so it is free.
    const SOURCES: &[&str] = &["SystemTime::now", "Uuid::new_v4", "Uuid::now_v7", "getrandom::", "Zoned::now"];
    let elsewhere = lines(&|file| file.path != "src/clock.rs", &|code| SOURCES.iter().any(|s| code.contains(s)));
    assert_none("time and identifiers are inputs: take them from the Clock", &elsewhere);
}

#[test]
fn only_the_command_line_prints() {
    let is_program = |file: &Source| !file.is_in("src/cli") && !file.is_in("src/bench");
    let printing =
        |code: &str| ["println!", "print!", "eprintln!", "eprint!", "dbg!"].iter().any(|m| has_word(code, m));
    assert_none("a server logs; it does not print", &lines(&is_program, &printing));
}

#[test]
fn there_is_no_global_state() {
    let is_static = |code: &str| {
        let code = code.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        code.starts_with("static ") || code.starts_with("thread_local!")
    };
    // A program has one allocator, and only a static can name it.
    let elsewhere = lines(&|file| file.path != "src/main.rs", &is_static);
    assert_none("App owns the parts; nothing is global", &elsewhere);
}

/// The lines of the program's files that break a rule.
fn lines(applies: &dyn Fn(&Source) -> bool, breaks: &dyn Fn(&str) -> bool) -> Vec<String> {
    let files = program();
    let files = files.iter().filter(|file| applies(file));
    files.flat_map(|file| file.code().filter(|(_, code)| breaks(code)).map(|(n, code)| file.at(n, code))).collect()
}
