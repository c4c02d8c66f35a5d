//! Letters: what a message from one user to another carries beyond its text, and what becomes of it.

use super::{Json, MessageId, Timestamp, UserId};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Their names, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($word),+];

            /// The name in the store and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The one of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(
    /// What a letter mainly is.
    LetterKind {
        /// Words.
        Text = "text",
        /// A picture.
        Image = "image",
        /// A file.
        File = "file",
        /// A recording.
        Audio = "audio",
        /// A film.
        Video = "video",
    }
);

words!(
    /// What a letter was written on.
    DeviceKind {
        /// A telephone or tablet.
        Mobile = "mobile",
        /// A browser.
        Web = "web",
        /// A program on a computer.
        Desktop = "desktop",
    }
);

words!(
    /// What a receiver's side tells the sender: each comes once and stays.
    Receipt {
        /// It has reached the receiver.
        Delivered = "delivered",
        /// The receiver has read it.
        Read = "read",
    }
);

/// What a letter was written on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which kind.
    pub kind: DeviceKind,
    /// All that the client said of it: an object, as sent.
    pub details: Json,
}

/// An emoji that somebody put to a letter: each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// Who.
    pub user_id: UserId,
    /// The emoji.
    pub emoji: String,
    /// When.
    pub at: Timestamp,
}

impl Reaction {
    /// Where it stands among a letter's reactions.
    fn place(&self) -> (Timestamp, UserId, &str) {
        (self.at, self.user_id, &self.emoji)
    }
}

/// What a message from one user to another carries beyond its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub receiver_id: UserId,
    /// What it mainly is.
    pub kind: LetterKind,
    /// An array of what is attached.
    pub attachments: Json,
    /// What it was written on.
    pub device: Device,
    /// When it reached the receiver.
    pub delivered_at: Option<Timestamp>,
    /// When the receiver read it; never without `delivered_at`.
    pub read_at: Option<Timestamp>,
    /// In the order of reacting; those of one instant by user and emoji.
    pub reactions: Vec<Reaction>,
}

/// Which letters a receipt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This one.
    One(MessageId),
    /// Every one up to this one.
    Through(MessageId),
}

impl Reach {
    /// The message that bounds it.
    pub fn end(self) -> MessageId {
        match self {
            Self::One(message) | Self::Through(message) => message,
        }
    }

    /// Whether it is about that message.
    pub fn holds(self, message: MessageId) -> bool {
        match self {
            Self::One(one) => message == one,
            Self::Through(last) => message <= last,
        }
    }
}

impl Letter {
    /// How many bytes people put into it.
    pub fn bytes(&self) -> usize {
        let reactions: usize = self.reactions.iter().map(|reaction| 32 + reaction.emoji.len()).sum();
        self.attachments.0.len() + self.device.details.0.len() + reactions
    }

    /// Notes a receipt, unless an earlier one said as much: receipts only move forward.
    pub fn receive(&mut self, receipt: Receipt, at: Timestamp) {
        self.delivered_at.get_or_insert(at);
        if receipt == Receipt::Read {
            self.read_at.get_or_insert(at);
        }
    }

    /// Adds or takes away a reaction; doing so a second time changes nothing.
    pub fn react(&mut self, reaction: &Reaction, removed: bool) {
        let same = |held: &Reaction| held.user_id == reaction.user_id && held.emoji == reaction.emoji;
        if removed {
            self.reactions.retain(|held| !same(held));
        } else if !self.reactions.iter().any(same) {
            // In its place and not at the end: an old event may follow on later reactions.
            let at = self.reactions.partition_point(|held| held.place() < reaction.place());
            self.reactions.insert(at, reaction.clone());
        }
    }
}
