//! What `deploy/` says to containers, units and clusters is what the program understands.

use std::collections::BTreeSet;
use std::process::Command;

use roost::config::Config;

use super::assert_none;
use super::source::{Source, files, read, root};

/// What the command line takes from the environment besides options.
const NO_OPTIONS: &[&str] = &["ROOST_CONFIG"];

fn deployed() -> Vec<Source> {
    let all = files("deploy", "");
    assert!(all.len() > 8, "where is deploy/?");
    all
}

/// The variable of every option.
fn options() -> BTreeSet<String> {
    let example: toml::Table = read("roost.example.toml").parse().expect("it is TOML");
    let of = |(name, value): (&String, &toml::Value)| match value {
        toml::Value::Table(section) => section.keys().map(|key| format!("ROOST_{name}_{key}")).collect(),
        _ => vec![format!("ROOST_{name}")],
    };
    example.iter().flat_map(of).map(|name| name.to_ascii_uppercase()).collect()
}

/// The variables that a line names.
fn variables(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("ROOST_"))
}

#[test]
fn every_variable_is_an_option() {
    let options = options();
    let is_known = |name: &&str| options.contains(*name) || NO_OPTIONS.contains(name);
    let mut findings = Vec::new();
    for file in deployed() {
        for (at, line) in file.text.lines().enumerate() {
            let strange = variables(line).filter(|name| !is_known(name));
            findings.extend(strange.map(|name| file.at(at + 1, &format!("there is no {name}"))));
        }
    }
    assert_none("deploy/ sets what can be set", &findings);
}

/// `ROOST_NAME: value` lines of a file, as whoever reads YAML has them.
fn environment(path: &str) -> Vec<(String, String)> {
    let text = read(path);
    let pairs = text.lines().filter_map(|line| line.trim().split_once(": "));
    let set = pairs.filter(|(name, _)| name.starts_with("ROOST_"));
    set.map(|(name, value)| (name.to_owned(), filled_in(value.trim_matches(['\'', '"'])))).collect()
}

/// With something for what the environment of the one who deploys has to say: `${NAME:?why}`.
fn filled_in(value: &str) -> String {
    match (value.find("${"), value.find('}')) {
        (Some(begin), Some(end)) => format!("{}something{}", &value[..begin], &value[end + 1..]),
        _ => value.to_owned(),
    }
}

#[test]
fn every_value_is_legal() {
    for paths in
        [&["deploy/compose.yaml"][..], &["deploy/kubernetes/config.yaml", "deploy/kubernetes/secret.example.yaml"]]
    {
        let set: Vec<_> = paths.iter().flat_map(|path| environment(path)).collect();
        assert!(set.iter().any(|(name, _)| name == "ROOST_STORE_URL"), "{paths:?} set {set:?}");
        let mut check = Command::new(env!("CARGO_BIN_EXE_roost"));
        let answer = check.args(["config", "check"]).envs(set).output().expect("the binary starts");
        assert!(answer.status.success(), "{paths:?}: {}", String::from_utf8_lossy(&answer.stderr));
    }
}

/// What stands behind a word, up to the next blank or mark.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("there is no {word:?}"));
    rest.trim_start().split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or(rest)
}

/// Its number of seconds.
fn seconds(text: &str, word: &str) -> u64 {
    after(text, word).trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{word:?} is no number of seconds"))
}

#[test]
fn who_ends_a_node_waits_until_it_has_drained() {
    let (drain, config) = (Config::default().http.drain_s, read("deploy/kubernetes/config.yaml"));
    assert!(seconds(&read("deploy/roost.service"), "TimeoutStopSec=") > drain);
    assert!(seconds(&read("deploy/compose.yaml"), "stop_grace_period:") > drain);
    let pods = read("deploy/kubernetes/deployment.yaml");
    let drain: u64 = after(&config, "ROOST_HTTP_DRAIN_S:").trim_matches('"').parse().expect("seconds");
    assert!(seconds(&pods, "terminationGracePeriodSeconds:") > seconds(&pods, "seconds:") + drain);
}

#[test]
fn probes_ask_what_is_there() {
    let routes = read("src/api/health.rs");
    let (pods, nginx) = (read("deploy/kubernetes/deployment.yaml"), read("deploy/nginx.conf"));
    let probes = pods.lines().filter_map(|line| line.trim().strip_prefix("path: "));
    let hidden = nginx.lines().filter_map(|line| line.trim().strip_prefix("location = ")?.strip_suffix(" {"));
    let all: Vec<_> = probes.chain(hidden).collect();
    assert!(all.contains(&"/livez") && all.contains(&"/readyz") && all.contains(&"/metrics"), "{all:?}");
    let gone = all.into_iter().filter(|path| !routes.contains(&format!(".route(\"{path}\"")));
    assert_none("probes ask what is there", &gone.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn everybody_means_the_same_port_and_the_same_rust() {
    let (image, toolchain) = (read("deploy/Containerfile"), read("rust-toolchain.toml"));
    let port = after(&image, "EXPOSE ").to_owned();
    assert_eq!(after(&image, "ROOST_LISTEN=0.0.0.0:"), port);
    assert_eq!(after(&read("deploy/kubernetes/deployment.yaml"), "containerPort:"), port);
    let (nginx, compose) = (read("deploy/nginx.conf"), read("deploy/compose.yaml"));
    for server in nginx.lines().filter_map(|line| line.trim().strip_prefix("server 1")) {
        let (address, its_port) = after(server, "").split_once(':').expect("an address and a port");
        assert_eq!(its_port, port);
        assert!(compose.contains(&format!("ipv4_address: 1{address}")), "no node has 1{address}");
    }
    assert!(toolchain.contains(&format!("channel = \"{}\"", after(&image, "ARG RUST="))), "rust-toolchain.toml");
}

#[test]
fn capacities_are_computed_from_what_was_measured() {
    let check = Command::new(root().join("scripts/capacity")).arg("--check").output().expect("it can be run");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
