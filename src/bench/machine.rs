//! On what a run was measured: figures without their machine mean nothing.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use super::load::{Latencies, latencies};
use crate::error::{Error, Result};

/// One line about the machine, the disk and the build.
pub fn describe(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores, {}, Linux {}, data on {}; roost {} ({} build)",
        processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        kernel.trim(),
        file_system(folder),
        env!("CARGO_PKG_VERSION"),
        if cfg!(debug_assertions) { "debug" } else { "release" },
    )
}

fn processor(cpuinfo: &str) -> String {
    let named = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn file_system(folder: &Path) -> String {
    let Ok(folder) = folder.canonicalize() else { return "an unknown file system".to_owned() };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    file_system_of(&folder, &mounts).unwrap_or("an unknown file system").to_owned()
}

/// The type of the mount that holds `folder`: the last of the longest that lead to it.
fn file_system_of<'m>(folder: &Path, mounts: &'m str) -> Option<&'m str> {
    let mut fields = mounts.lines().map(|line| line.split(' ').skip(1));
    let held = fields.by_ref().filter_map(|mut fields| Some((fields.next()?, fields.next()?)));
    held.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| at.len()).map(|(_, kind)| kind)
}

/// How long the disk itself takes to make 64 KiB durable, in microseconds: about what a commit of
/// a full batch writes, over and over in a file that does not grow, as the write-ahead log does.
///
/// # Errors
/// The disk's.
pub fn measure_fsync(folder: &Path) -> Result<Latencies> {
    const SIZE: usize = 64 * 1024;
    const PLACES: u64 = 64;
    const TIMES: u64 = 1000;
    let path = folder.join("fsync-probe");
    let mut taken = latencies();
    let probe = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        let block = vec![0x5a; SIZE];
        for time in 0..PLACES + TIMES {
            file.seek(SeekFrom::Start(time % PLACES * SIZE as u64))?;
            let start = Instant::now();
            file.write_all(&block)?;
            file.sync_all()?;
            if time >= PLACES {
                taken.saturating_record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
        }
        fs::remove_file(&path)
    };
    let mut probe = probe;
    probe().map_err(|error| Error::internal(format!("{}: {error}", path.display())))?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_innermost_mount() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /home xfs rw 0 0\n";
        assert_eq!(file_system_of(Path::new("/home/x"), mounts), Some("xfs"));
        assert_eq!(file_system_of(Path::new("/homely"), mounts), Some("ext4"));
        assert_eq!(file_system_of(Path::new("/tmp"), mounts), Some("tmpfs"));
    }
}
