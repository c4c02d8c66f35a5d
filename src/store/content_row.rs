//! What is in no log, as a delivery's row keeps it: JSON, the same in every engine.

use serde::{Deserialize, Serialize};

use crate::domain::{Content, Happened, Timestamp};

/// Something that is in no log, as the column `content` keeps it.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct ContentRow {
    channel: String,
    at: i64,
    #[serde(flatten)]
    what: WhatRow,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum WhatRow {
    ChannelOccupied,
    ChannelVacated,
    MemberAdded { user_id: String },
    MemberRemoved { user_id: String },
    ClientEvent { event: String, data: Option<String>, socket_id: String, user_id: Option<String> },
    CacheMiss,
    SubscriptionCount { count: usize },
}

impl From<ContentRow> for Content {
    fn from(ContentRow { channel, at, what }: ContentRow) -> Self {
        let what = match what {
            WhatRow::ChannelOccupied => Happened::ChannelOccupied { channel },
            WhatRow::ChannelVacated => Happened::ChannelVacated { channel },
            WhatRow::MemberAdded { user_id } => Happened::MemberAdded { channel, user_id },
            WhatRow::MemberRemoved { user_id } => Happened::MemberRemoved { channel, user_id },
            WhatRow::ClientEvent { event, data, socket_id, user_id } => {
                Happened::ClientEvent { channel, event, data, socket_id, user_id }
            }
            WhatRow::CacheMiss => Happened::CacheMiss { channel },
            WhatRow::SubscriptionCount { count } => Happened::SubscriptionCount { channel, count },
        };
        Self::Happening { what, at: Timestamp(at) }
    }
}

impl ContentRow {
    /// The row of what is in no log; `None` for an event, which has columns of its own.
    pub fn of(content: &Content) -> Option<Self> {
        let Content::Happening { what, at } = content else { return None };
        let row = match what.clone() {
            Happened::ChannelOccupied { .. } => WhatRow::ChannelOccupied,
            Happened::ChannelVacated { .. } => WhatRow::ChannelVacated,
            Happened::MemberAdded { user_id, .. } => WhatRow::MemberAdded { user_id },
            Happened::MemberRemoved { user_id, .. } => WhatRow::MemberRemoved { user_id },
            Happened::ClientEvent { event, data, socket_id, user_id, .. } => {
                WhatRow::ClientEvent { event, data, socket_id, user_id }
            }
            Happened::CacheMiss { .. } => WhatRow::CacheMiss,
            Happened::SubscriptionCount { count, .. } => WhatRow::SubscriptionCount { count },
        };
        Some(Self { channel: what.channel().to_owned(), at: at.0, what: row })
    }
}
