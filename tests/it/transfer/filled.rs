//! A store with all kinds of things in it, and more of them at random.

use roost::domain::{
    Allowance, Conversation, ConversationKind, ConversationState, Day, DocumentKind, DocumentState, EventId, Json,
    MembershipStatus, MessageText, Money, NewFile, Platform, Purse, PushOs, Reach, Receipt, RunOutcome, Spend, User,
};
use roost::store::attachments::NewAttachment;
use roost::store::budgets::Reservation;
use roost::store::knowledge::{NewDocument, Take, Worked};
use roost::store::webhooks::{AfterAttempt, Claim, NewWebhook, Taken, Tried};
use roost::store::{
    Direct, Idempotency, Mark, NewConversation, NewMessage, NewPlatform, NewPushDevice, NewReaction, NewShare,
    NewToken, NewUser, SharedStore, StateChange, StateEdit, UserEdit,
};
use uuid::Uuid;

use crate::support::store::{
    answer, assistant_session, at, from_guest, from_staff, letter, live_chat, new_run, run_end, run_text, staff,
    with_key,
};

/// Numbers that look random and are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).unwrap()
    }
}

/// Whose budgets are in the store.
pub const BUDGETS: [Purse; 2] = [Purse::Tenant(None), Purse::Address([9; 16])];

/// Who is in the store, and what they write in.
pub struct World {
    pub store: SharedStore,
    pub platform: Platform,
    pub people: Vec<User>,
    pub directs: Vec<Direct>,
    pub chats: Vec<Conversation>,
    pub uploads: Vec<Uuid>,
    seconds: i64,
}

/// What the users write: several scripts, accents made in two ways, no letters at all.
const TEXTS: [&str; 6] =
    ["Hello, Ben", "Đà Nẵng", "हिन्दी में", "cafe\u{301} au lait", "🙂", "it's \\ \"quoted\" 'twice'"];

impl World {
    pub async fn fill(store: SharedStore) -> Self {
        let name = "Acme".to_owned();
        let new = NewPlatform {
            key: Uuid::new_v4(),
            slug: Platform::slug_of(&name),
            name,
            secret: "s".to_owned(),
            at: at(0),
        };
        let platform = store.add_platform(new).await.unwrap();
        let mut people = Vec::new();
        for name in ["ana", "ben", "eva"] {
            let new = NewUser { platform_id: Some(platform.id), is_staff: false, ..staff(name) };
            people.push(store.add_user(new).await.unwrap());
        }
        people.push(store.add_user(staff("mai")).await.unwrap());
        let mut world =
            Self { store, platform, people, directs: Vec::new(), chats: Vec::new(), uploads: Vec::new(), seconds: 1 };
        world.accounts().await;
        world.live().await;
        world.letters().await;
        world.own_chats().await;
        world.hooks().await;
        world.documents().await;
        world.budgets().await;
        world.play(&mut Dice::new(1), 150).await;
        world
    }

    fn now(&mut self) -> roost::domain::Timestamp {
        self.seconds += 1;
        at(self.seconds)
    }

    async fn accounts(&mut self) {
        let (ana, ben) = (self.people[0].clone(), self.people[1].clone());
        self.store.secret("cookies", [3; 32]).await.unwrap();
        for (n, expires_at) in [(1_u8, None), (2, Some(at(1_000_000)))] {
            let new = NewToken {
                user_id: ana.id,
                name: format!("phone {n}"),
                hash: [n; 32],
                abilities: vec![roost::domain::Ability::any()],
                at: at(1),
                expires_at,
            };
            self.store.add_token(new).await.unwrap();
        }
        self.store.set_code(ben.id, [9; 32], at(1), std::time::Duration::ZERO, at(900)).await.unwrap();
        self.store.set_membership(ana.id, "seller".to_owned(), MembershipStatus::Approved, at(2)).await.unwrap();
        let device = NewPushDevice {
            uuid: Uuid::new_v4(),
            user_id: ana.id,
            token: "a push token".to_owned(),
            os: PushOs::Web,
            device: Some(Json(r#"{"type":"web"}"#.to_owned())),
            at: at(2),
        };
        self.store.add_push_device(device).await.unwrap();
        let idempotency = Idempotency { key: "k".to_owned(), fingerprint: [5; 16] };
        self.store.claim_key(ana.id, "chat", idempotency, at(3)).await.unwrap();
        self.store.note_seen(vec![ana.id, ben.id], at(3)).await.unwrap();
    }

    /// One that is live with a vector, and one that failed.
    async fn documents(&mut self) {
        let (ana, mai) = (self.people[0].clone(), self.people[3].clone());
        for (user, title, text) in [(&ana, "Cafés", "Đà Nẵng's cafés"), (&mai, "Torn", "x")] {
            let new = NewDocument {
                uuid: Uuid::new_v4(),
                platform_id: user.platform_id,
                user_id: user.id,
                title: title.to_owned(),
                name: "a.txt".to_owned(),
                kind: DocumentKind::Txt,
                size: 7,
                count_max: 10,
                goes_on: title == "Torn",
                at: at(4),
            };
            let id = self.store.add_document(new).await.unwrap().id;
            let take = Take { now: at(5), until: at(60), is_processing: true, is_alone: false };
            let taken = self.store.take_document(id, vec![DocumentState::Uploaded], take).await.unwrap().unwrap();
            assert!(self.store.add_chunks(id, taken.generation, vec![text.to_owned()]).await.unwrap());
            let ended = if title == "Torn" {
                let why = "It is torn.".to_owned();
                Worked::Failed { state: DocumentState::Chunked, why, again_at: Some(at(70)) }
            } else {
                self.store.index_chunks(id, taken.generation, vec![(1, Some(vec![0, 0, 128, 63]))]).await.unwrap();
                Worked::Live(Some("model".to_owned()))
            };
            self.store.end_work(id, taken.generation, ended, at(6)).await.unwrap().unwrap();
        }
    }

    /// One answer's costs, and one's that is under way, on two days.
    async fn budgets(&mut self) {
        let limit = Allowance { tokens: Some(1000), money: None };
        let amount = Spend { tokens: 100, money: Money(7) };
        for run in 1..=3_u128 {
            let (purses, run) = (BUDGETS.map(|purse| (purse, limit)).to_vec(), Uuid::from_u128(run));
            let day = Day(run.as_u128() as i64 / 2);
            let reservation = Reservation { run, purses, amount, day, lapses_at: at(9) };
            self.store.reserve_budget(reservation).await.unwrap();
        }
        self.store.settle_budget(Uuid::from_u128(2), Spend { tokens: 60, money: Money(3) }).await.unwrap();
    }

    async fn live(&mut self) {
        let mai = self.people[3].clone();
        for key in ["a", "b", "c"] {
            let at = self.now();
            let chat = self.store.create_conversation(NewConversation { at, ..live_chat(key) }).await.unwrap();
            self.store.append(NewMessage { at, ..with_key("first", from_guest(chat.id, "hello")) }).await.unwrap();
            self.chats.push(chat);
        }
        self.store.change_state(self.chats[0].id, StateChange::Assign(mai.id), at(4)).await.unwrap();
        self.store.append(from_staff(self.chats[0].id, mai.id, "yes?")).await.unwrap();
        self.store.change_state(self.chats[1].id, StateChange::Close, at(5)).await.unwrap();
        let session = self.store.create_conversation(assistant_session("s")).await.unwrap();
        let question = self.store.append(from_guest(session.id, "what is AI?")).await.unwrap().message;
        let run = self.store.begin_run(new_run(&question, Uuid::new_v4())).await.unwrap();
        self.store.tell_runs(vec![run_text(&run, 0, "It")]).await.unwrap();
        let end = run_end(RunOutcome::Completed, Some(answer(&question, "It is")));
        self.store.end_run(run.id, end).await.unwrap();
        let run = self.store.begin_run(new_run(&question, Uuid::new_v4())).await.unwrap();
        self.store.tell_runs(vec![run_text(&run, 0, "It was")]).await.unwrap();
        self.chats.push(session);
    }

    pub async fn between(&mut self, one: usize, other: usize) {
        let (one, other) = (self.people[one].id, self.people[other].id);
        let key = Uuid::new_v4().to_string();
        let new = NewConversation {
            platform_id: Some(self.platform.id),
            user_id: Some(one),
            peer_id: Some(other),
            ..NewConversation::new(Uuid::new_v4(), ConversationKind::Direct, key, at(0))
        };
        let conversation = self.store.create_conversation(new).await.unwrap();
        self.directs.push(self.store.direct(self.platform.id, conversation.uuid).await.unwrap().unwrap());
    }

    async fn letters(&mut self) {
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            self.between(one, other).await;
        }
        for _ in 0..3 {
            let uuid = Uuid::new_v4();
            let new = NewAttachment {
                uuid,
                user_id: self.people[0].id,
                name: "ảnh.png".to_owned(),
                mime: "image/png".to_owned(),
                size: 5_000_000_000,
                has_thumbnail: true,
                at: at(8),
            };
            self.store.add_attachment(new).await.unwrap();
            self.uploads.push(uuid);
        }
        let direct = self.directs[0].clone();
        let mut new = letter(&direct, &self.people[0], &self.people[1], "see this");
        if let Some(letter) = &mut new.letter {
            letter.uploads = vec![self.uploads[0]];
        }
        self.store.append(new).await.unwrap();
    }

    async fn own_chats(&mut self) {
        let eva = self.people[2].clone();
        for title in ["b", "a"] {
            let state = ConversationState {
                title: Some(title.to_owned()),
                model: Some("m".to_owned()),
                ..ConversationState::open()
            };
            let uuid = Uuid::new_v4();
            let new = NewConversation::new(uuid, ConversationKind::AssistantChat, uuid.to_string(), at(9));
            let new = NewConversation { user_id: Some(eva.id), state, ..new };
            let chat = self.store.create_conversation(new).await.unwrap();
            let said = self.store.append(from_guest(chat.id, "code, please")).await.unwrap().message;
            let file = |title: &str| NewFile {
                title: title.to_owned(),
                text: "x\n".repeat(100),
                language: "rust".to_owned(),
                extension: "rs".to_owned(),
            };
            self.store.add_files(chat.id, said.id, eva.id, vec![file("1"), file("2")], at(10)).await.unwrap();
            self.chats.push(chat);
        }
        self.share(4).await;
    }

    async fn share(&self, nth: usize) {
        let new = NewShare {
            uuid: Uuid::new_v4(),
            conversation_id: self.chats[nth].id,
            is_shared: true,
            is_protected: true,
            password_hash: Some("a hash".to_owned()),
            at: at(11),
        };
        if let Some(share) = self.store.add_share(new).await.unwrap() {
            self.store.add_share_entries(share.id, vec![self.people[0].id], at(12)).await.unwrap();
        }
    }

    async fn hooks(&self) {
        let me = Uuid::new_v4();
        let new = NewWebhook {
            platform_id: Some(self.platform.id),
            url: "https://a.test/".to_owned(),
            form: roost::domain::HookForm::Standard,
            kinds: Vec::new(),
            key: roost::domain::HookKey([7; 32]),
            after: Some(EventId::START),
            count_max: 9,
            at: at(1),
        };
        let hook = self.store.add_webhook(new).await.unwrap();
        let told = (1..=4).map(|id| {
            let conversation_id = self.chats[0].id;
            ("message.created".to_owned(), roost::domain::Content::Event { id: EventId(id), conversation_id })
        });
        let taken = Taken { webhook_id: hook.id, from: EventId::START, to: EventId(4), told: told.collect() };
        self.store.take_for_webhooks(vec![taken], at(2)).await.unwrap();
        let claim = Claim { claimer: me, limit: 9, per_webhook: 9, busy: Vec::new(), now: at(3), until: at(30) };
        for (delivery, _) in self.store.claim_deliveries(claim).await.unwrap() {
            let attempt = roost::domain::Attempt { at: at(4), took_ms: 12, status: Some(200), error: None };
            let then = AfterAttempt::Delivered;
            let tried = Tried { delivery_id: delivery.id, claimer: me, attempt, then, disable: None, now: at(4) };
            self.store.note_attempt(tried).await.unwrap();
        }
    }

    /// So many things happen.
    pub async fn play(&mut self, dice: &mut Dice, count: usize) {
        for _ in 0..count {
            match dice.roll(12) {
                0..=3 => self.write(dice).await,
                4..=6 => self.touch(dice).await,
                7 => self.say(dice).await,
                8 => self.change_chat(dice).await,
                _ => self.change_account(dice).await,
            }
        }
    }

    async fn write(&mut self, dice: &mut Dice) {
        let at = self.now();
        let direct = self.directs[dice.roll(self.directs.len())].clone();
        let (one, other) = (dice.roll(2), direct.members.len());
        let (me, peer) = (&direct.members[one].user, &direct.members[(one + 1) % other].user);
        let text = format!("{} {}", TEXTS[dice.roll(TEXTS.len())], dice.roll(50));
        let new = with_key(&format!("key {}", dice.roll(40)), letter(&direct, me, peer, &text));
        // A key that was used for another text is refused, which is as good.
        let _ = self.store.append(NewMessage { at, ..new }).await;
    }

    /// Reads, receives, reacts to, edits or deletes a letter.
    async fn touch(&mut self, dice: &mut Dice) {
        let at = self.now();
        let direct = self.directs[dice.roll(self.directs.len())].clone();
        let id = direct.conversation.id;
        let letters = self.store.messages(id, crate::support::store::everything()).await.unwrap();
        if letters.is_empty() {
            return;
        }
        let message = &letters[dice.roll(letters.len())];
        let me = direct.members[dice.roll(direct.members.len())].user.id;
        let mark = |receipt, reach| self.store.mark(id, Mark { reader: me, receipt, reach, at });
        match dice.roll(7) {
            0 => drop(mark(Receipt::Read, Reach::One(message.id)).await.unwrap()),
            1 => drop(mark(Receipt::Read, Reach::Through(message.id)).await.unwrap()),
            2 => drop(mark(Receipt::Delivered, Reach::Through(message.id)).await.unwrap()),
            3 => drop(self.store.delete_message(id, message.id, at).await.unwrap()),
            4 => {
                let text = MessageText::verbatim(format!("edited {}", TEXTS[dice.roll(TEXTS.len())]));
                self.store.edit_message(id, message.id, me, text, at).await.map(drop).unwrap();
            }
            removed => {
                let emoji = format!("e{}", dice.roll(3));
                let new = NewReaction { message_id: message.id, user_id: me, emoji, removed: removed == 5, at };
                let _ = self.store.react(id, new).await;
            }
        }
    }

    async fn say(&mut self, dice: &mut Dice) {
        let at = self.now();
        let chat = self.chats[dice.roll(self.chats.len())].id;
        let new = from_guest(chat, TEXTS[dice.roll(TEXTS.len())]);
        let _ = self.store.append(NewMessage { at, ..new }).await;
    }

    async fn change_chat(&mut self, dice: &mut Dice) {
        let at = self.now();
        let nth = dice.roll(self.chats.len());
        let id = self.chats[nth].id;
        match dice.roll(5) {
            0 => drop(self.store.change_state(id, StateChange::Close, at).await.unwrap()),
            1 => self.share(nth).await,
            // Also with keys that others had.
            2 => {
                let edit = StateEdit { key: Some(format!("key {}", dice.roll(4))), ..StateEdit::default() };
                let _ = self.store.change_state(id, StateChange::Edit(edit), at).await;
            }
            3 if self.chats.len() > 4 => {
                self.store.remove_conversation(id).await.unwrap();
                self.chats.remove(nth);
            }
            _ => {
                let key = format!("new {}", dice.roll(1000));
                // Lists that are ordered by instants leave open how equal ones stand.
                if let Ok(chat) = self.store.create_conversation(NewConversation { at, ..live_chat(&key) }).await {
                    self.chats.push(chat);
                }
            }
        }
    }

    async fn change_account(&mut self, dice: &mut Dice) {
        let at = self.now();
        let user = self.people[dice.roll(self.people.len())].clone();
        match dice.roll(4) {
            0 => drop(self.store.note_seen(vec![user.id], at).await),
            1 => {
                let edit = UserEdit { name: Some(format!("name {}", dice.roll(9))), ..UserEdit::default() };
                self.store.edit_user(user.id, edit, at).await.unwrap();
            }
            2 => {
                // Who held the address before may still hold it in the target.
                let old = self.store.users(roost::store::UserFilter {
                    platform_id: None,
                    after: roost::domain::UserId(0),
                    limit: 100,
                });
                let extra = old.await.unwrap().into_iter().find(|user| user.email.as_str().starts_with("extra@"));
                if let Some(extra) = extra {
                    self.store.erase_user(extra.id, at).await.unwrap();
                }
                self.store.add_user(staff("extra")).await.map(drop).unwrap();
            }
            _ => {
                let idempotency = Idempotency { key: format!("k{}", dice.roll(9)), fingerprint: [5; 16] };
                let _ = self.store.claim_key(user.id, "chat", idempotency, at).await;
            }
        }
    }
}
