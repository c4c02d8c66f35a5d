//! `roost extract`: what a server calls to have the text taken out of an upload. Not for people.
//!
//! It bounds itself before it reads a byte, and then trusts nothing of what it reads to end well.

use std::io::{Read, Write};
use std::process::ExitCode;

use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::domain::DocumentKind;
use crate::error::{Error, Result};
use crate::knowledge::extract::{Bounds, extract};

#[derive(Args, Debug)]
pub(super) struct Options {
    /// What the file is.
    #[arg(value_parser = |raw: &str| DocumentKind::parse(raw).ok_or("no such kind"))]
    kind: DocumentKind,
    /// How much memory it may take.
    #[arg(long, default_value_t = 512)]
    memory_mib: u64,
    /// How much processor time.
    #[arg(long, default_value_t = 30)]
    cpu_s: u64,
    /// How much text it gives at the most.
    #[arg(long, default_value_t = 8 << 20)]
    text_bytes: usize,
    /// How many pages it reads.
    #[arg(long, default_value_t = 2000)]
    pages: usize,
}

/// The exit code says why there is no text.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    bound(options).map_err(Error::internal)?;
    let mut file = Vec::new();
    std::io::stdin().lock().read_to_end(&mut file).map_err(Error::internal)?;
    let bounds = Bounds { text_bytes: options.text_bytes, pages: options.pages };
    match extract(options.kind, &file, bounds) {
        Ok(text) => {
            std::io::stdout().lock().write_all(text.as_bytes()).map_err(Error::internal)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => Ok(ExitCode::from(why.code())),
    }
}

/// Bounds what this process may take: memory that it can write, address space in all, processor time, no file written,
/// no core left behind, no file opened.
fn bound(options: &Options) -> rustix::io::Result<()> {
    /// Beside the memory: the program, its stacks, and what the allocator reserves without using it.
    const ADDRESSES_MIB: u64 = 2048;
    let at_most = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Data, at_most(options.memory_mib << 20))?;
    setrlimit(Resource::As, at_most((options.memory_mib + ADDRESSES_MIB) << 20))?;
    setrlimit(Resource::Cpu, at_most(options.cpu_s))?;
    setrlimit(Resource::Fsize, at_most(0))?;
    setrlimit(Resource::Core, at_most(0))?;
    // Three are open; nothing that reads a file opens another.
    setrlimit(Resource::Nofile, at_most(3))
}
