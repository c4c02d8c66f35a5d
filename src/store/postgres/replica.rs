//! A replica, for reads that may be late by a named bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::task::JoinHandle;

use super::conn::Conn;
use super::fail::Fail;
use super::{PostgresOptions, pool};
use crate::error::Result;

/// A pool of connections to a replica, and whether the replica keeps up.
pub(super) struct Replica {
    pool: Pool,
    keeps_up: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Replica {
    /// `None` when there is none. It is not used until it was seen to keep up.
    pub fn start(options: &PostgresOptions) -> Result<Option<Self>> {
        if options.replica_url.is_empty() {
            return Ok(None);
        }
        let pool = pool::make(&options.replica_url, options)?;
        let keeps_up = Arc::new(AtomicBool::new(false));
        let watch = tokio::spawn(watch(pool.clone(), options.replica_lag_max, Arc::clone(&keeps_up)));
        Ok(Some(Self { pool, keeps_up, watch }))
    }

    /// Whether it kept the bound when it was last looked at.
    pub fn keeps_up(&self) -> bool {
        self.keeps_up.load(Ordering::Relaxed)
    }

    pub async fn conn(&self) -> Result<Conn, Fail> {
        Ok(Conn::new(self.pool.get().await?))
    }
}

/// Looks at the replica four times within its bound, so that the bound holds between two looks.
async fn watch(pool: Pool, lag_max: Duration, keeps_up: Arc<AtomicBool>) {
    let every = (lag_max / 4).max(Duration::from_millis(50));
    loop {
        let lag = lag(&pool).await;
        let is_near = lag.as_ref().is_ok_and(|lag| *lag + every <= lag_max);
        if keeps_up.swap(is_near, Ordering::Relaxed) != is_near {
            tracing::info!(is_used = is_near, ?lag, "the replica of the database");
        }
        tokio::time::sleep(every).await;
    }
}

/// How far behind the replica is. One that has replayed all that it got is not behind, however long ago that was.
async fn lag(pool: &Pool) -> Result<Duration, Fail> {
    let conn = Conn::new(pool.get().await?);
    let row = conn
        .one(
            "select case when not pg_is_in_recovery() then 0.0 \
             when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() \
                 and exists (select 1 from pg_stat_wal_receiver where status = 'streaming') then 0.0 \
             else coalesce(extract(epoch from now() - pg_last_xact_replay_timestamp()), 1e6) end::float8",
            &[],
        )
        .await?;
    Ok(Duration::from_secs_f64(row.try_get::<_, f64>(0)?.clamp(0.0, 1e6)))
}
