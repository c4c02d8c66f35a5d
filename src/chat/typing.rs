//! Who is typing in a live chat: told to who follows it at that moment, and kept nowhere.

use std::sync::Arc;

use super::Chat;
use crate::domain::{Access, ConversationId, ConversationKind, Scope, Signal, Typist};
use crate::error::Result;
use crate::realtime::Channel;

impl Chat {
    /// The guest of a live chat types, or has stopped.
    pub fn guest_types(&self, channel: &Channel, is_typing: bool) {
        self.tell_typing(channel.id(), Typist::Guest, is_typing);
    }

    /// The member of staff who has a live chat types, or has stopped.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`, `Forbidden(NotAssigned)`.
    pub async fn staff_types(&self, access: &Access, channel: &Channel, is_typing: bool) -> Result<()> {
        self.must_have(access, channel).await?;
        let who = Typist::Staff(access.user.id, access.user.name.clone());
        self.tell_typing(channel.id(), who, is_typing);
        Ok(())
    }

    fn tell_typing(&self, conversation_id: ConversationId, who: Typist, is_typing: bool) {
        let scopes = [Scope::Conversation(conversation_id), Scope::Kind(ConversationKind::LiveChat)];
        self.signal(&scopes, Signal::Typing { conversation_id, who, is_typing });
    }

    /// Tells who follows at this moment, on all nodes, what is kept nowhere.
    pub(super) fn signal(&self, scopes: &[Scope], signal: Signal) {
        if let Some(nodes) = self.sockets.nodes() {
            nodes.signal(scopes, &signal);
        }
        let signal = Arc::new(signal);
        scopes.iter().for_each(|scope| self.broker.signal(*scope, &signal));
    }
}
