//! The methods of the log: each hands its arguments to the function that does the work.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PostgresStore, append, assigning, conversations, feed, files, inbox, letters, log, messages, probe, runs, tokens,
};
use crate::domain::{
    ChatFile, Conversation, ConversationId, ConversationKind, DeviceKind, Event, EventId, FileId, Head, Message,
    MessageId, MessageText, NewFile, OpenRun, Participant, PlatformId, Run, RunId, Scope, Share, ShareEntry, ShareId,
    Timestamp, User, UserId,
};
use crate::error::Result;
use crate::store::{
    Appended, ChatOrder, ConversationFilter, Desk, Direct, FeedPage, Found, Greeting, InboxEntry, InboxFilter, Locator,
    Mark, MessageFilter, NewConversation, NewMessage, NewReaction, NewRun, NewRunText, NewShare, Page, RunEnd,
    StateChange, Store, Tail,
};

#[async_trait]
impl Store for PostgresStore {
    async fn open_conversation(&self, new: NewConversation) -> Result<(Conversation, bool)> {
        transact!(self, tx => conversations::open(tx, &new))
    }

    async fn create_conversation(&self, new: NewConversation) -> Result<Conversation> {
        transact!(self, tx => conversations::create(tx, &new))
    }

    async fn conversation(&self, kind: ConversationKind, name: Locator<'_>) -> Result<Option<Conversation>> {
        let name = conversations::Name::from(name);
        fetch!(self, conn => conversations::find(conn, kind, &name))
    }

    async fn conversations(&self, kind: ConversationKind, filter: ConversationFilter) -> Result<Page<Conversation>> {
        fetch_late!(self, conn => conversations::list(conn, kind, &filter))
    }

    async fn desk(&self, desk: Desk, limit: usize) -> Result<Vec<Conversation>> {
        fetch!(self, conn => conversations::desk(conn, desk, limit))
    }

    async fn change_state(
        &self,
        id: ConversationId,
        change: StateChange,
        at: Timestamp,
    ) -> Result<Option<Conversation>> {
        transact!(self, tx => conversations::change(tx, id, &change, at))
    }

    async fn transfer(
        &self,
        id: ConversationId,
        dice: u64,
        greeting: Greeting,
        line: Uuid,
        at: Timestamp,
    ) -> Result<Option<User>> {
        transact!(self, tx => assigning::transfer(tx, id, dice, greeting, line, at))
    }

    async fn remove_conversation(&self, id: ConversationId) -> Result<bool> {
        transact!(self, tx => conversations::remove(tx, id))
    }

    async fn remove_chats(&self, user: UserId, ids: Vec<ConversationId>) -> Result<bool> {
        transact!(self, tx => files::remove_chats(tx, user, &ids))
    }

    async fn chats_of(&self, user: UserId, order: Vec<ChatOrder>) -> Result<Vec<ConversationId>> {
        fetch!(self, conn => files::chats_of(conn, user, &order))
    }

    async fn chats(&self, user: UserId, ids: Vec<ConversationId>) -> Result<Vec<Conversation>> {
        fetch!(self, conn => files::chats(conn, user, &ids))
    }

    async fn direct(&self, platform: PlatformId, uuid: Uuid) -> Result<Option<Direct>> {
        fetch!(self, conn => inbox::direct(conn, platform, uuid))
    }

    async fn directs(&self, ids: Vec<ConversationId>) -> Result<Vec<Direct>> {
        fetch!(self, conn => inbox::directs(conn, &ids))
    }

    async fn last_letters(&self, ids: Vec<ConversationId>) -> Result<Vec<Arc<Message>>> {
        fetch!(self, conn => inbox::last_letters(conn, &ids))
    }

    async fn inbox(&self, user: UserId, filter: InboxFilter) -> Result<Vec<InboxEntry>> {
        fetch!(self, conn => inbox::page(conn, user, filter))
    }

    async fn inbox_numbers(&self, user: UserId) -> Result<Vec<ConversationId>> {
        fetch!(self, conn => inbox::numbers(conn, user))
    }

    async fn inbox_entries(&self, user: UserId, ids: Vec<ConversationId>) -> Result<Vec<InboxEntry>> {
        fetch!(self, conn => inbox::entries(conn, user, &ids))
    }

    async fn inbox_total(&self, user: UserId) -> Result<u64> {
        fetch!(self, conn => inbox::total(conn, user))
    }

    async fn participants(&self, id: ConversationId) -> Result<Vec<Participant>> {
        fetch!(self, conn => conversations::participants(conn, id))
    }

    async fn append(&self, new: NewMessage) -> Result<Appended> {
        if append::is_light(&new) {
            return self.lanes.append(new).await;
        }
        transact!(self, tx => messages::append(tx, &new))
    }

    async fn append_all(&self, new: Vec<NewMessage>) -> Result<Vec<Appended>> {
        transact!(self, tx => messages::append_all(tx, &new))
    }

    async fn sent_before(&self, new: NewMessage) -> Result<Option<Arc<Message>>> {
        fetch!(self, conn => messages::sent_before(conn, &new))
    }

    async fn messages(&self, id: ConversationId, filter: MessageFilter) -> Result<Vec<Arc<Message>>> {
        fetch!(self, conn => messages::list(conn, id, filter))
    }

    async fn message(&self, kind: ConversationKind, uuid: Uuid) -> Result<Option<(Arc<Message>, Conversation)>> {
        fetch!(self, conn => messages::by_uuid(conn, kind, uuid))
    }

    async fn message_id(&self, id: ConversationId, uuid: Uuid) -> Result<Option<MessageId>> {
        fetch!(self, conn => messages::number(conn, id, uuid))
    }

    async fn answer_to(&self, id: ConversationId, question: MessageId) -> Result<Option<Arc<Message>>> {
        fetch!(self, conn => messages::answer_to(conn, id, question))
    }

    async fn delete_message(&self, id: ConversationId, message: MessageId, at: Timestamp) -> Result<bool> {
        transact!(self, tx => messages::delete(tx, id, message, at))
    }

    async fn delete_messages(
        &self,
        id: ConversationId,
        messages: Vec<MessageId>,
        if_seq: u64,
        at: Timestamp,
    ) -> Result<bool> {
        transact!(self, tx => messages::delete_all(tx, id, &messages, if_seq, at))
    }

    async fn edit_message(
        &self,
        id: ConversationId,
        message: MessageId,
        author: UserId,
        text: MessageText,
        at: Timestamp,
    ) -> Result<Option<Arc<Message>>> {
        transact!(self, tx => messages::edit(tx, id, message, author, &text, at))
    }

    async fn letter(&self, platform: PlatformId, message: MessageId) -> Result<Option<(Arc<Message>, Direct)>> {
        fetch!(self, conn => letters::by_number(conn, platform, message))
    }

    async fn mark(&self, id: ConversationId, mark: Mark) -> Result<usize> {
        transact!(self, tx => letters::mark(tx, id, &mark))
    }

    async fn react(&self, id: ConversationId, reaction: NewReaction) -> Result<bool> {
        transact!(self, tx => letters::react(tx, id, &reaction))
    }

    async fn search_letters(
        &self,
        user: UserId,
        words: Vec<String>,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Found>> {
        fetch_late!(self, conn => letters::search(conn, user, &words, before, limit))
    }

    async fn letter_at(&self, id: ConversationId, offset: u64) -> Result<(u64, Option<MessageId>)> {
        fetch!(self, conn => letters::at(conn, id, offset))
    }

    async fn letter_devices(&self, user: UserId) -> Result<Vec<(DeviceKind, u64)>> {
        fetch_late!(self, conn => letters::devices(conn, user))
    }

    async fn tail(&self, id: ConversationId, count: usize) -> Result<Option<Tail>> {
        fetch!(self, conn => log::tail(conn, id, count))
    }

    async fn events(&self, id: ConversationId, after: EventId, limit: usize) -> Result<Vec<Event>> {
        fetch!(self, conn => log::events(conn, id, after, limit))
    }

    async fn feed(&self, scope: Scope, after: EventId, limit: usize) -> Result<FeedPage> {
        fetch!(self, conn => feed::page(&self.core, conn, scope, after, limit))
    }

    async fn last_event(&self) -> Result<EventId> {
        fetch!(self, conn => feed::horizon(&self.core, conn))
    }

    async fn newest_event(&self) -> Result<EventId> {
        fetch!(self, conn => feed::newest(conn))
    }

    async fn heads(&self, ids: Vec<ConversationId>) -> Result<Vec<(ConversationId, Head)>> {
        fetch!(self, conn => log::heads(conn, &ids))
    }

    async fn add_files(
        &self,
        id: ConversationId,
        message: MessageId,
        user: UserId,
        files: Vec<NewFile>,
        at: Timestamp,
    ) -> Result<Option<Vec<ChatFile>>> {
        transact!(self, tx => files::add(tx, (id, message), user, &files, at))
    }

    async fn files(&self, id: ConversationId, after: FileId, limit: usize) -> Result<Vec<ChatFile>> {
        fetch!(self, conn => files::list(conn, Ok(id), after, limit))
    }

    async fn files_of(&self, user: UserId, after: FileId, limit: usize) -> Result<Vec<ChatFile>> {
        fetch_late!(self, conn => files::list(conn, Err(user), after, limit))
    }

    async fn add_share(&self, new: NewShare) -> Result<Option<Share>> {
        transact!(self, tx => files::add_share(tx, &new))
    }

    async fn share_of(&self, id: ConversationId) -> Result<Option<Share>> {
        fetch!(self, conn => files::share_of(conn, id))
    }

    async fn share(&self, uuid: Uuid) -> Result<Option<(Share, Vec<UserId>)>> {
        fetch!(self, conn => files::share(conn, uuid))
    }

    async fn add_share_entries(&self, share: ShareId, users: Vec<UserId>, at: Timestamp) -> Result<Vec<ShareEntry>> {
        transact!(self, tx => files::add_entries(tx, share, &users, at))
    }

    async fn begin_run(&self, new: NewRun) -> Result<Run> {
        transact!(self, tx => runs::begin(tx, &new))
    }

    async fn start_run(&self, run: RunId, at: Timestamp) -> Result<Option<Run>> {
        transact!(self, tx => runs::start(tx, run, at))
    }

    async fn tell_runs(&self, texts: Vec<NewRunText>) -> Result<Vec<bool>> {
        transact!(self, tx => runs::tell(tx, &texts))
    }

    async fn end_run(&self, run: RunId, end: RunEnd) -> Result<Option<Arc<Message>>> {
        transact!(self, tx => runs::end(tx, run, &end))
    }

    async fn open_runs(&self, seen_before: Timestamp) -> Result<Vec<OpenRun>> {
        fetch!(self, conn => runs::open(conn, seen_before))
    }

    async fn runs_under_way(&self, id: ConversationId) -> Result<Vec<OpenRun>> {
        fetch!(self, conn => runs::under_way(conn, id))
    }

    async fn run_for(&self, id: ConversationId, question: MessageId) -> Result<Option<Run>> {
        fetch!(self, conn => runs::newest_for(conn, id, question))
    }

    async fn secret(&self, name: &'static str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        transact!(self, tx => tokens::secret(tx, name, fresh))
    }

    async fn ping(&self) -> Result<()> {
        transact!(self, tx => probe::write(tx))
    }
}
