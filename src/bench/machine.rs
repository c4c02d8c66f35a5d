//! On what a run was measured: figures without their machine mean nothing.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

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

/// The kernel's count of processor time as a duration.
pub fn ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64)
}

/// How long all processors together were busy since the machine started, and how much time they
/// had.
///
/// # Errors
/// Where the kernel does not tell.
pub fn processors() -> Result<(Duration, Duration)> {
    let stat = fs::read_to_string("/proc/stat").map_err(Error::internal)?;
    let (busy, all) = busy_of_all(&stat).ok_or_else(|| Error::internal("/proc/stat is not understood"))?;
    Ok((ticks(busy), ticks(all)))
}

/// The first line's user, nice, system, idle, waiting for I/O, interrupts, soft interrupts, stolen.
fn busy_of_all(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let fields = fields.map(str::parse).collect::<std::result::Result<Vec<u64>, _>>().ok()?;
    let idle = fields.get(3)? + fields.get(4)?;
    let all = fields.iter().sum::<u64>();
    Some((all - idle, all))
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
    fn the_processors_time_is_read_from_proc() {
        let stat = "cpu  10 1 20 300 7 2 3 4 5 6\ncpu0 5 0 10 150 3 1 1 2 2 3\n";
        assert_eq!(busy_of_all(stat), Some((40, 347)));
        assert!(processors().is_ok());
    }

    #[test]
    fn the_file_system_is_that_of_the_innermost_mount() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /home xfs rw 0 0\n";
        assert_eq!(file_system_of(Path::new("/home/x"), mounts), Some("xfs"));
        assert_eq!(file_system_of(Path::new("/homely"), mounts), Some("ext4"));
        assert_eq!(file_system_of(Path::new("/tmp"), mounts), Some("tmpfs"));
    }
}
