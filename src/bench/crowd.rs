//! Many connections at once, each subscribed to a channel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;

use super::pusher::{App, Connection, Ear, ping, write};
use crate::error::{Error, Result};

/// Connections under way at once while a crowd gathers; the kernel's queue of the server holds more.
const AT_ONCE: usize = 256;

/// Connections that are followed until it is dropped.
pub struct Crowd {
    writers: Vec<Arc<OwnedWriteHalf>>,
    ends: JoinSet<Result<()>>,
    /// From the first connection to the last subscription.
    pub gathered_in: Duration,
    /// How long a client of that server may be silent.
    pub activity_timeout: Duration,
}

impl Crowd {
    /// Connects `count` connections, subscribes each to the channel of its number, and follows them with
    /// the ear of their number.
    ///
    /// # Errors
    /// The first that cannot.
    pub async fn gather<E: Ear>(
        app: &App,
        count: usize,
        channel: impl Fn(usize) -> String,
        ear: impl Fn(usize) -> E,
    ) -> Result<Self> {
        Self::gather_over(std::slice::from_ref(app), count, channel, ear).await
    }

    /// The same with connections to several nodes in turn; `apps` is one app on each.
    ///
    /// # Errors
    /// As [`Crowd::gather`].
    pub async fn gather_over<E: Ear>(
        apps: &[App],
        count: usize,
        channel: impl Fn(usize) -> String,
        ear: impl Fn(usize) -> E,
    ) -> Result<Self> {
        let begun = Instant::now();
        let join = |number| {
            let (channel, app) = (channel(number), &apps[number % apps.len()]);
            async move {
                let mut connection = Connection::open(app, number).await?;
                let auth = app.authorize(&connection.socket_id, &channel);
                connection.subscribe(&channel, &auth).await?;
                Ok::<_, Error>((number, connection))
            }
        };
        let mut crowd = Self {
            writers: Vec::with_capacity(count),
            ends: JoinSet::new(),
            gathered_in: Duration::ZERO,
            activity_timeout: Duration::from_secs(120),
        };
        let mut joined = stream::iter((0..count).map(join)).buffer_unordered(AT_ONCE);
        while let Some((number, connection)) = joined.try_next().await? {
            crowd.writers.push(Arc::clone(&connection.writer));
            crowd.activity_timeout = crowd.activity_timeout.min(connection.activity_timeout);
            crowd.ends.spawn(connection.follow(ear(number)));
        }
        crowd.gathered_in = begun.elapsed();
        Ok(crowd)
    }

    /// Connections.
    pub fn len(&self) -> usize {
        self.writers.len()
    }

    /// Whether all of them are still there and heard nothing wrong.
    ///
    /// # Errors
    /// What happened to the first that is not.
    pub fn check(&mut self) -> Result<()> {
        match self.ends.try_join_next() {
            None => Ok(()),
            Some(ended) => ended.map_err(Error::internal)?,
        }
    }

    /// What happened to the first that goes; not before one does.
    pub async fn ended(&mut self) -> Error {
        match self.ends.join_next().await {
            None => std::future::pending().await,
            Some(Err(error)) => Error::internal(error),
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) => Error::internal("a connection ended"),
        }
    }

    /// Waits for `span`, while each says once in its activity timeout that it is there, at times spread
    /// evenly, as clients that came at different times do.
    ///
    /// # Errors
    /// When one has gone.
    pub async fn idle(&mut self, span: Duration) -> Result<()> {
        const STEP: Duration = Duration::from_millis(20);
        let (begun, ping, count) = (Instant::now(), ping(), self.len());
        let mut steps = tokio::time::interval(STEP);
        let mut said = 0;
        while begun.elapsed() < span {
            steps.tick().await;
            let due = begun.elapsed().as_secs_f64() / self.activity_timeout.as_secs_f64() * count as f64;
            while said < due as usize {
                write(&self.writers[said % count], &ping)?;
                said += 1;
            }
            self.check()?;
        }
        Ok(())
    }

    /// Closes them all at once.
    pub async fn leave(mut self) {
        self.ends.shutdown().await;
    }
}
