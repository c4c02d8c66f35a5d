//! Every read of the store's contract, as text: two stores that hold the same give the same.

use std::fmt::Debug;

use roost::domain::{Conversation, ConversationKind, Day, EventId, FileId, LetterKind, Scope, Timestamp, User, UserId};
use roost::store::webhooks::{DeliveryFilter, HookOwner};
use roost::store::{
    ChatColumn, ConversationFilter, Desk, InboxFilter, Locator, MessageFilter, SharedStore, UserFilter,
};
use uuid::Uuid;

use super::filled::BUDGETS;
use crate::support::store::{at, everything};

/// What was asked and what was answered, one line each.
pub struct Reads {
    store: SharedStore,
    lines: Vec<String>,
}

const KINDS: [ConversationKind; 4] = [
    ConversationKind::LiveChat,
    ConversationKind::AssistantSession,
    ConversationKind::AssistantChat,
    ConversationKind::Direct,
];

/// Reads everything that can be read.
pub async fn all(store: &SharedStore, uploads: &[Uuid]) -> Vec<String> {
    let mut reads = Reads { store: store.clone(), lines: Vec::new() };
    let users = store.users(UserFilter { platform_id: None, after: UserId(0), limit: 1000 }).await.unwrap();
    reads.note("users", &users);
    reads.note("platforms", store.platforms().await.unwrap());
    for user in &users {
        reads.of_user(user, uploads).await;
    }
    for kind in KINDS {
        reads.of_kind(kind).await;
    }
    reads.of_staff(&users).await;
    reads.of_log(&users).await;
    reads.of_hooks().await;
    for (purse, day) in BUDGETS.into_iter().flat_map(|purse| [0, 1].map(|day| (purse, Day(day)))) {
        reads.note(("budget", purse, day), store.budget_spent(purse, day).await.unwrap());
    }
    reads.note("loose", store.loose_attachments(at(1_000_000), 100).await.unwrap());
    reads.note("runs", store.open_runs(Timestamp(i64::MAX)).await.unwrap());
    reads.note("secret", store.secret("cookies", [0; 32]).await.unwrap());
    reads.lines
}

impl Reads {
    fn note(&mut self, what: impl Debug, answer: impl Debug) {
        self.lines.push(format!("{what:?}: {answer:?}"));
    }

    async fn of_user(&mut self, user: &User, uploads: &[Uuid]) {
        let store = self.store.clone();
        let id = user.id;
        let tokens = store.tokens(id).await.unwrap();
        let hashes: Vec<_> = tokens.iter().map(|token| (token.hash, token.expires_at)).collect();
        self.note(("tokens", id), (&tokens, hashes));
        self.note(("with password", id), store.user_by_email(user.platform_id, &user.email).await.unwrap());
        self.note(("roles", id), store.memberships(id).await.unwrap());
        self.note(("devices", id), store.push_devices(id).await.unwrap());
        if let Some(platform) = user.platform_id {
            self.note(("seen", id), store.seen(platform, vec![user.uuid]).await.unwrap());
            self.note(("by uuid", id), store.user_by_uuid(platform, user.uuid).await.unwrap());
        }
        let inbox = InboxFilter { limit: 100, ..InboxFilter::default() };
        self.note(("inbox", id), store.inbox(id, inbox).await.unwrap());
        self.note(("inbox total", id), store.inbox_total(id).await.unwrap());
        self.note(("inbox numbers", id), store.inbox_numbers(id).await.unwrap());
        self.note(("letter devices", id), store.letter_devices(id).await.unwrap());
        for words in ["hello", "HEL", "đà", "nẵng", "café", "हिन्दी", "edited", "ben 1", "nothing such"]
        {
            let found = store.search_letters(id, vec![words.to_owned()], None, 100).await.unwrap();
            self.note(("search", id, words), found);
        }
        for order in [vec![], vec![(ChatColumn::Title, false)], vec![(ChatColumn::EditedAt, true)]] {
            let chats = store.chats_of(id, order.clone()).await.unwrap();
            self.note(("chats", id, order), store.chats(id, chats).await.unwrap());
        }
        self.note(("files", id), store.files_of(id, FileId(0), 100).await.unwrap());
        for upload in uploads {
            self.note(("upload", id, upload), store.attachment_for(id, *upload).await.unwrap());
        }
    }

    async fn of_kind(&mut self, kind: ConversationKind) {
        let store = self.store.clone();
        for is_active in [None, Some(true), Some(false)] {
            let filter = ConversationFilter { is_active, limit: 1000, ..ConversationFilter::default() };
            let page = store.conversations(kind, filter.clone()).await.unwrap();
            self.note((kind, is_active), &page);
            if is_active.is_none() {
                for conversation in &page.items {
                    self.of_conversation(conversation).await;
                }
            }
            let filter = ConversationFilter { search: Some("KEY".to_owned()), ..filter };
            self.note((kind, is_active, "search"), store.conversations(kind, filter).await.unwrap());
        }
    }

    async fn of_conversation(&mut self, conversation: &Conversation) {
        let store = self.store.clone();
        let id = conversation.id;
        let by_key = store.conversation(conversation.kind, Locator::Key(&conversation.key)).await.unwrap();
        assert_eq!(by_key.map(|found| found.id), Some(id));
        self.note(("tail", id), store.tail(id, 5).await.unwrap());
        self.note(("people", id), store.participants(id).await.unwrap());
        self.note(("events", id), store.events(id, EventId::START, 10_000).await.unwrap());
        self.note(("files", id), store.files(id, FileId(0), 100).await.unwrap());
        let share = store.share_of(id).await.unwrap();
        if let Some(share) = &share {
            self.note(("shared with", id), store.share(share.uuid).await.unwrap());
        }
        self.note(("share", id), (share.as_ref().map(|share| share.password_hash.clone()), &share));
        let messages = store.messages(id, everything()).await.unwrap();
        for message in &messages {
            self.note(("run", message.id), store.run_for(id, message.id).await.unwrap());
            self.note(("answer", message.id), store.answer_to(id, message.id).await.unwrap());
            self.note(("by uuid", message.id), store.message(conversation.kind, message.uuid).await.unwrap());
            if let Some(platform) = conversation.platform_id {
                self.note(("letter", message.id), store.letter(platform, message.id).await.unwrap());
            }
        }
        assert!(messages.iter().all(|m| m.letter.as_ref().is_none_or(|letter| letter.kind == LetterKind::Text)));
        self.note(("messages", id), &messages);
        let search = MessageFilter { search: Some("HELLO".to_owned()), ..everything() };
        self.note(("search", id), store.messages(id, search).await.unwrap());
        self.note(("letter at", id), store.letter_at(id, 1).await.unwrap());
    }

    async fn of_staff(&mut self, users: &[User]) {
        let desks = users.iter().map(|user| Desk::Of(user.id)).chain([Desk::All, Desk::Unassigned]);
        for desk in desks {
            let found = self.store.desk(desk, 100).await.unwrap();
            self.note(("desk", desk), found);
        }
    }

    async fn of_log(&mut self, users: &[User]) {
        let kinds = KINDS.into_iter().map(Scope::Kind);
        let own = users.iter().map(|user| Scope::User(user.id, ConversationKind::Direct));
        for scope in [Scope::All].into_iter().chain(kinds).chain(own) {
            let page = self.store.feed(scope, EventId::START, 10_000).await.unwrap();
            self.note(("feed", scope), (page.events, page.is_end));
        }
        let newest = self.store.newest_event().await.unwrap();
        self.note("newest", newest);
        let last = self.store.last_event().await.unwrap();
        self.note("last", last);
    }

    async fn of_hooks(&mut self) {
        let store = self.store.clone();
        for hook in store.webhooks(HookOwner::Anybody).await.unwrap() {
            let filter = DeliveryFilter { state: None, before: None, limit: 100 };
            let deliveries = store.deliveries(hook.id, filter).await.unwrap();
            for delivery in &deliveries {
                self.note(("attempts", delivery.id), store.attempts(hook.id, delivery.id).await.unwrap());
            }
            self.note(("hook", hook.keys.current == roost::domain::HookKey([7; 32])), (&hook, deliveries));
        }
        self.note("next due", store.next_due().await.unwrap());
    }
}
