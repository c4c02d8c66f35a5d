//! What the HTTP API takes and gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An event to be told to channels.
#[derive(Deserialize, ToSchema)]
#[schema(as = pusher::Trigger)]
pub struct Trigger {
    /// The event's name.
    #[schema(min_length = 1, max_length = 200, example = "order-shipped")]
    pub name: String,
    /// What it carries, of at most 10 KB; by convention the text of JSON.
    #[schema(value_type = String, example = r#"{"order":7}"#)]
    pub data: serde_json::Value,
    /// The channels.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub channels: Option<Vec<String>>,
    /// The channel, when it is one.
    #[serde(default)]
    #[schema(max_length = 164, example = "private-orders")]
    pub channel: Option<String>,
    /// A connection that is not told.
    #[serde(default)]
    #[schema(pattern = r"^\d+\.\d+$", example = "1234.1234")]
    pub socket_id: Option<String>,
    /// What to answer of each channel: `user_count`, `subscription_count`, with commas between.
    #[serde(default)]
    #[schema(example = "subscription_count")]
    pub info: Option<String>,
}

/// Events to be told at once.
#[derive(Deserialize, ToSchema)]
#[schema(as = pusher::Batch)]
pub struct Batch {
    /// The events, each to one channel.
    #[schema(max_items = 10)]
    pub batch: Vec<Trigger>,
}

/// A channel, counted as far as it was asked for.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = pusher::Counts)]
pub struct Counts {
    /// How many users are there, on a presence channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_count: Option<usize>,
    /// How many subscribe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_count: Option<usize>,
}

/// What became of an event.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = pusher::Triggered)]
pub struct Triggered {
    /// Its channels, when `info` asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<BTreeMap<String, Counts>>,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::BatchTriggered)]
pub struct BatchTriggered {
    /// Each event's channel, in the order of the events.
    pub batch: Vec<Counts>,
}

/// Channels that somebody subscribes to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::Channels)]
pub struct Channels {
    /// By name.
    pub channels: BTreeMap<String, Counts>,
}

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::Channel)]
pub struct Channel {
    /// Whether anybody subscribes.
    pub occupied: bool,
    /// The counts that were asked for.
    #[serde(flatten)]
    pub counts: Counts,
    /// The last event of a channel that keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

/// An event that is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::Cache)]
pub struct Cache {
    /// What it carries.
    pub data: String,
}

/// Who is on a presence channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::Users)]
pub struct Users {
    /// The users.
    pub users: Vec<UserName>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::UserName)]
pub struct UserName {
    /// Their id in the app.
    pub id: String,
}

/// How many are connected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::Connections)]
pub struct Connections {
    /// The app's connections.
    pub connections: usize,
}

/// Nothing to say.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = pusher::Done)]
pub struct Done {}
