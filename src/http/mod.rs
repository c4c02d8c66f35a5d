//! The plumbing that every door shares and that knows none of them: connections, the request's
//! frame, bodies, fields, streams.

pub mod address;
pub mod body;
pub mod cors;
pub mod download;
pub mod fields;
pub mod forms;
pub mod frame;
pub mod headers;
pub mod json;
pub mod limited;
pub mod links;
pub mod multipart;
pub mod request;
pub mod server;
pub mod signature;
pub mod sse;
pub mod streams;
pub mod values;
pub mod websocket;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config;
use crate::telemetry::Metrics;

/// What the plumbing stands on.
pub struct Web {
    /// The section `http` of the configuration.
    pub config: config::Http,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// Where trace ids come from.
    pub clock: Clock,
    /// Long polls and event streams under way.
    pub streams: streams::Streams,
    /// Which pages on other origins may call.
    pub cors: cors::Cors,
}

/// A shared [`Web`].
pub type SharedWeb = Arc<Web>;

impl Web {
    /// The plumbing for that configuration.
    pub fn new(config: config::Http, clock: Clock) -> SharedWeb {
        let streams = streams::Streams::new(streams::Bounds {
            max: config.streams_max,
            per_address_max: config.streams_per_address_max,
            per_user_max: config.streams_per_user_max,
        });
        let cors = cors::Cors::new(&config.cors_origins);
        Arc::new(Self { config, metrics: Metrics::default(), clock, streams, cors })
    }

    /// Over how long the closing of long connections is spread on the way down: a third of the
    /// drain, which leaves the rest of it for what they hold.
    pub fn drain_spread(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.config.drain_s) / 3
    }

    /// How often an event stream sends a comment.
    pub fn heartbeat(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.config.heartbeat_s)
    }

    /// How often it is looked whether the credential of a stream is still good.
    pub fn recheck(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.config.streams_recheck_s)
    }
}
