//! Descriptors: every connection is one, and a process may hold only so many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the most that the system allows, because the usual soft limit of 1024 is below what
/// one process can well hold; returns it.
pub fn raise() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let most = Rlimit { current: now.maximum, maximum: now.maximum };
    if setrlimit(Resource::Nofile, most).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
    limit()
}

/// How many this process may hold.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many it holds; `None` where the system does not tell. Costs by their number: some milliseconds for
/// ten thousand.
pub fn held() -> Option<u64> {
    // The look itself is one of them.
    std::fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_counted() {
        let before = held().unwrap();
        let open: Vec<_> = (0..64).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close files meanwhile.
        assert!(held().unwrap() + 32 >= before + 64, "{before}");
        assert!(held().unwrap() <= limit());
        drop(open);
    }
}
