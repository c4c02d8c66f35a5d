//! `roost chaos`: a minute of it is green, it finds bugs that are put in, and nothing of it outlives it.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use roost::local::{Output, Running};
use rustix::process::{Pid, Signal};

use crate::support::app::until;
use crate::support::process::roost;
use crate::support::{postgres, redis};

/// Longer than a minute of faults, the start before it and the audit after it take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

fn chaos(more: &[&str]) -> Command {
    let mut command = roost();
    command.arg("chaos").args(more);
    command
}

/// Runs to the end: how it ended, and what it said.
async fn run(command: Command) -> (ExitStatus, String) {
    let wait = move || {
        let mut running = Running::spawn(&command, Output::Read).expect("the binary starts");
        let said: Vec<_> = running.lines().expect("its words").map_while(Result::ok).collect();
        (running.wait(PATIENCE).expect("an end"), said.join("\n"))
    };
    tokio::task::spawn_blocking(wait).await.expect("no panic")
}

#[tokio::test]
async fn a_minute_of_faults_breaks_no_promise_of_one_node() {
    let (status, said) = run(chaos(&["--embedded", "--seed", "1", "--minutes", "1"])).await;
    assert!(status.success() && said.contains("GREEN: seed 1"), "{said}");
}

#[tokio::test]
async fn a_minute_of_faults_breaks_no_promise_of_a_cluster() {
    if !postgres::is_there("chaos: a cluster") || !redis::is_there("chaos: a cluster") {
        return;
    }
    let (status, said) = run(chaos(&["--seed", "1", "--minutes", "1"])).await;
    assert!(status.success() && said.contains("GREEN: seed 1"), "{said}");
}

#[tokio::test]
async fn what_is_told_before_its_commit_is_found() {
    planted("publish-before-commit").await;
}

#[tokio::test]
async fn what_is_dropped_at_the_seam_is_found() {
    planted("drop-at-seam").await;
}

async fn planted(bug: &str) {
    let mut command = chaos(&["--embedded", "--seed", "1", "--minutes", "0.3"]);
    command.env("SUITE_PLANT", bug);
    let (status, said) = run(command).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("BROKEN: ") && said.contains("RED: seed 1"), "{said}");
}

#[tokio::test]
async fn nothing_outlives_a_run_that_is_killed() {
    let mut running =
        Running::spawn(&chaos(&["--embedded", "--minutes", "5"]), Output::Read).expect("the binary starts");
    let mut lines = running.lines().expect("its words");
    let said =
        tokio::task::spawn_blocking(move || lines.find(|line| line.as_ref().is_ok_and(|l| l.contains("behind"))));
    said.await.expect("no panic").expect("it says when it has begun").expect("text");
    let started = children(running.pid());
    assert!(!started.is_empty(), "it runs a node, and what removes its folder");
    running.signal(Signal::KILL);
    until(|| started.iter().all(|pid| !is_there(*pid))).await;
}

fn children(parent: Pid) -> Vec<i32> {
    let numbers = std::fs::read_dir("/proc").expect("the kernel's list").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|pid| field(*pid, 1) == Some(parent.as_raw_nonzero().to_string())).collect()
}

/// One that has ended and whom nobody has asked for its end is not there.
fn is_there(pid: i32) -> bool {
    field(pid, 0).is_some_and(|state| state != "Z")
}

/// A field of a process's line, counted from its state.
fn field(pid: i32, number: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(number).map(str::to_owned)
}
