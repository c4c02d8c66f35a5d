//! What every part of the store stands on: the pool, the places of conversations, and who is told of commits.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_postgres::Pool;

use super::conn::Conn;
use super::fail::Fail;
use super::place;
use super::vectors::Vectors;
use crate::domain::{ConversationId, EventId, Logged, Place};
use crate::store::{Listener, WriterStats};

/// Places held at once, some hundred bytes each.
const PLACES_MAX: usize = 65_536;

/// Shared by the store's methods and by what runs beside them.
pub(super) struct Core {
    pub pool: Pool,
    /// For reads that may be late, if there is one.
    pub replica: Option<super::replica::Replica>,
    pub listener: Arc<dyn Listener>,
    pub vectors: Vectors,
    places: Mutex<HashMap<ConversationId, Arc<Place>>>,
    horizon: AtomicI64,
    pub stats: Arc<WriterStats>,
    /// Reads so far.
    pub reads: AtomicU64,
}

impl Core {
    pub fn new(
        pool: Pool,
        replica: Option<super::replica::Replica>,
        listener: Arc<dyn Listener>,
        vectors: Vectors,
    ) -> Self {
        Self {
            pool,
            replica,
            listener,
            vectors,
            places: Mutex::default(),
            horizon: AtomicI64::new(0),
            stats: Arc::default(),
            reads: AtomicU64::new(0),
        }
    }

    /// A connection; waits for one at most as long as the pool was told to.
    pub async fn conn(&self) -> Result<Conn, Fail> {
        Ok(Conn::new(self.pool.get().await?))
    }

    /// A connection for what may be late by the bound that the configuration names: a replica's while that keeps the
    /// bound, else the primary's.
    pub async fn late_conn(&self) -> Result<Conn, Fail> {
        match &self.replica {
            Some(replica) if replica.keeps_up() => match replica.conn().await {
                Ok(conn) => Ok(conn),
                Err(_) => self.conn().await,
            },
            _ => self.conn().await,
        }
    }

    /// Tells of a commit. A listener that panics must not take the store with it.
    pub fn announce(&self, events: &[Logged], removed: &[ConversationId]) {
        let told = catch_unwind(AssertUnwindSafe(|| {
            if !events.is_empty() {
                self.listener.committed(events);
            }
            for id in removed {
                self.places().remove(id);
                self.listener.removed(*id);
            }
        }));
        if told.is_err() {
            tracing::error!("the listener panicked on an announcement");
        }
    }

    /// Where a conversation is; `None` when it is not there.
    pub async fn place(&self, conn: &Conn, id: ConversationId) -> Result<Option<Arc<Place>>, Fail> {
        if let Some(place) = self.held_place(id) {
            return Ok(Some(place));
        }
        let found = place::find(conn, id).await?.map(Arc::new);
        if let Some(place) = &found {
            self.hold_place(place);
        }
        Ok(found)
    }

    /// Where a conversation is, if that is held.
    pub fn held_place(&self, id: ConversationId) -> Option<Arc<Place>> {
        self.places().get(&id).cloned()
    }

    /// Holds a place: nothing in it ever changes, and numbers of conversations are not given out again.
    pub fn hold_place(&self, place: &Arc<Place>) {
        let mut places = self.places();
        if places.len() >= PLACES_MAX {
            places.clear();
        }
        places.insert(place.conversation_id, Arc::clone(place));
    }

    /// How far everything is known to be decided, given what was read just now. A transaction that takes its lock late
    /// takes a reading back below another; what was decided stays so, and who was told of it must not be led back.
    pub fn decided(&self, read: EventId) -> EventId {
        EventId(self.horizon.fetch_max(read.0, Ordering::AcqRel).max(read.0))
    }

    /// How far everything is known to be decided, without a look.
    pub fn known_horizon(&self) -> EventId {
        EventId(self.horizon.load(Ordering::Acquire))
    }

    fn places(&self) -> MutexGuard<'_, HashMap<ConversationId, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
