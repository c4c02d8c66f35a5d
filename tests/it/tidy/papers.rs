//! What is written about the code is true: papers, migrations, texts, scripts, dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use super::assert_none;
use super::source::{Source, files, read, root};

/// Papers at the root and under `docs/`.
fn papers() -> Vec<Source> {
    let at_root = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    let there = at_root.iter().filter(|path| root().join(path).exists());
    let mut all: Vec<_> = there.map(|path| Source { path: (*path).to_owned(), text: read(path) }).collect();
    all.extend(files("docs", ".md"));
    all
}

#[test]
fn papers_name_only_what_exists() {
    const FOLDERS: &[&str] =
        &["src/", "tests/", "scripts/", "migrations/", "texts/", "docs/", "deploy/", "web/", ".ci/"];
    let mut findings = Vec::new();
    for paper in papers() {
        for (at, line) in paper.text.lines().enumerate() {
            let spelled = line.split('`').skip(1).step_by(2).filter(|name| FOLDERS.iter().any(|f| name.starts_with(f)));
            // `tests/it/{a,b}.rs`, `src/api/<x>` and `src/*.rs` speak of many.
            let one = spelled.filter(|name| !name.contains(['{', '<', '*', ' ', '…']));
            let gone =
                one.map(|name| name.split("::").next().unwrap_or(name)).filter(|name| !root().join(name).exists());
            findings.extend(gone.map(|name| paper.at(at + 1, &format!("there is no {name}"))));
            findings.extend(dead_links(&paper, line).map(|link| paper.at(at + 1, &format!("{link} leads nowhere"))));
        }
    }
    assert_none("papers are true at every commit", &findings);
}

/// Links to files that are not there.
fn dead_links<'a>(paper: &'a Source, line: &'a str) -> impl Iterator<Item = &'a str> {
    let folder = root().join(&paper.path).parent().expect("a file lies in a folder").to_owned();
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<']));
    local.filter(move |target| {
        let file = target.split('#').next().unwrap_or(target);
        !folder.join(file).exists()
    })
}

#[test]
fn migrations_are_explained_numbered_and_known() {
    let mut findings = Vec::new();
    for (engine, list) in [("sqlite", "src/store/migrate.rs"), ("postgres", "src/store/postgres/migrate.rs")] {
        let known = read(list);
        for (at, file) in files(&format!("migrations/{engine}"), ".sql").iter().enumerate() {
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            if !name.starts_with(&format!("{:04}_", at + 1)) {
                findings.push(format!("{}: number {:04} comes next", file.path, at + 1));
            }
            if !file.text.starts_with("-- ") {
                findings.push(format!("{}: it does not say what it is for", file.path));
            }
            if !known.contains(&file.path) {
                findings.push(format!("{}: {list} does not know it", file.path));
            }
        }
    }
    assert_none("migrations", &findings);
}

#[test]
fn scripts_can_be_run() {
    let scripts: Vec<_> = [files("scripts", ""), files(".ci", "")].into_iter().flatten().collect();
    assert!(scripts.iter().any(|script| script.path == "scripts/test"), "where is scripts/test?");
    let mode = |script: &Source| {
        let metadata = root().join(&script.path).metadata().expect("a file that was just read");
        metadata.permissions().mode()
    };
    let cannot = scripts.iter().filter(|script| mode(script) & 0o111 == 0 || !script.text.starts_with("#!/"));
    let cannot: Vec<_> = cannot.map(|script| script.path.clone()).collect();
    assert_none("a script can be run, and says by what", &cannot);
}

#[test]
fn every_language_says_everything() {
    let mut by_door: BTreeMap<String, Vec<(String, BTreeSet<String>)>> = BTreeMap::new();
    for file in files("texts", ".ftl") {
        let name = file.path.trim_start_matches("texts/").trim_end_matches(".ftl");
        let (door, language) = name.split_once('.').expect("texts/<door>.<language>.ftl");
        by_door.entry(door.to_owned()).or_default().push((language.to_owned(), ids(&file.text)));
    }
    let mut findings = Vec::new();
    for (door, languages) in &by_door {
        let all: BTreeSet<_> = languages.iter().flat_map(|(_, ids)| ids).collect();
        for (language, ids) in languages {
            let missing = all.iter().filter(|id| !ids.contains(**id));
            findings.extend(missing.map(|id| format!("{door} does not say {id} in {language}")));
        }
    }
    assert_none("every language says everything", &findings);
}

/// A text's id stands at the beginning of its line, before an equals sign. Names of fields are not
/// counted: a language that has none for a field takes the field's own words.
fn ids(text: &str) -> BTreeSet<String> {
    let starts = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()));
    let ids = starts.filter_map(|line| line.split_once('=')).map(|(id, _)| id.trim().to_owned());
    ids.filter(|id| !id.starts_with("field-")).collect()
}

#[test]
fn only_what_deny_toml_allows_is_built_in() {
    let lock: toml::Table = read("Cargo.lock").parse().expect("Cargo.lock is TOML");
    let deny: toml::Table = read("deny.toml").parse().expect("deny.toml is TOML");
    let banned = deny["bans"]["deny"].as_array().expect("a list of bans");
    let banned: Vec<_> = banned.iter().filter_map(|ban| ban["crate"].as_str()).collect();
    let mut findings = Vec::new();
    for package in lock["package"].as_array().expect("a list of packages") {
        let name = package["name"].as_str().expect("a name");
        if banned.contains(&name) {
            findings.push(format!("{name} is banned"));
        }
        let source = package.get("source").and_then(toml::Value::as_str);
        if source.is_some_and(|source| !source.starts_with("registry+https://github.com/rust-lang/crates.io-index")) {
            findings.push(format!("{name} does not come from the registry of crates"));
        }
    }
    assert_none("deny.toml", &findings);
}
