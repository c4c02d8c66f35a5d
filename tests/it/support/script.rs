//! The scripts of `tests/stock`: stock clients and server libraries, each in a process of its own that
//! tells in lines of JSON what it did.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::outside;
use super::temp::TempDir;

/// How long a test waits for a script's next line: longer than a script waits for its server, so that it
/// is the script that says what did not come.
const PATIENCE: Duration = Duration::from_secs(90);

/// A script that runs. It is ended with its test.
pub struct Script {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    told: mpsc::UnboundedReceiver<Value>,
    /// What it complained of, which is shown when it fails.
    complaints: PathBuf,
    _dir: TempDir,
}

/// Starts a script with a stock client; `None` says on standard error that the suite is left out.
pub fn node(name: &str, world: &Value) -> Option<Script> {
    let program = outside::program("stock clients", "SUITE_NODE")?;
    Some(Script::start(&program, name, world))
}

/// The same with the Python server library.
pub fn python(name: &str, world: &Value) -> Option<Script> {
    python_with("Python's server library", "SUITE_PUSHER_PYTHON", name, world)
}

/// The same with another library of Python's, which the interpreter that the variable names has.
pub fn python_with(library: &str, variable: &str, name: &str, world: &Value) -> Option<Script> {
    let program = outside::program(library, variable)?;
    Some(Script::start(&program, name, world))
}

impl Script {
    fn start(program: &Path, name: &str, world: &Value) -> Self {
        let dir = TempDir::new();
        let complaints = dir.path().join("complaints");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stock");
        let mut command = Command::new(program);
        command.arg(folder.join(name)).arg(world.to_string()).current_dir(dir.path());
        // Everything is on this machine: no proxy from the environment.
        for (variable, _) in std::env::vars().filter(|(name, _)| name.to_lowercase().ends_with("_proxy")) {
            command.env_remove(variable);
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(&complaints).expect("a folder that can be written"));
        let mut child = command.spawn().expect("the script starts");
        let lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let (tell, told) = mpsc::unbounded_channel();
        // It ends with the process, whose output it reads.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test may be over already.
                let _ = tell.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let input = child.stdin.take();
        Self { name: name.to_owned(), child, input, told, complaints, _dir: dir }
    }

    /// The next line that has that member, and what it says. Others are skipped; a failure fails the test.
    pub async fn tells(&mut self, member: &str) -> Value {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.told.recv()).await;
            match line.unwrap_or_else(|_| panic!("{} tells no {member}: {}", self.name, self.complaints())) {
                Some(line) if line.get(member).is_some() => return line[member].clone(),
                Some(line) if line.get("failed").is_some() => {
                    panic!("{}: {}\n{}", self.name, line["failed"].as_str().unwrap_or_default(), self.complaints())
                }
                Some(_) => {}
                None => panic!("{} ended without {member}: {}", self.name, self.complaints()),
            }
        }
    }

    /// The next line, whatever it says.
    pub async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        let line = line.unwrap_or_else(|_| panic!("{} tells nothing: {}", self.name, self.complaints()));
        line.unwrap_or_else(|| panic!("{} ended: {}", self.name, self.complaints()))
    }

    /// What it comes to.
    pub async fn result(mut self) -> Value {
        self.tells("result").await
    }

    /// Gives it a line to read.
    pub fn nudge(&mut self) {
        let input = self.input.as_mut().expect("standard input");
        input.write_all(b"\n").expect("a script that runs");
    }

    fn complaints(&self) -> String {
        std::fs::read_to_string(&self.complaints).unwrap_or_default()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
