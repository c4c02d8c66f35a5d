//! The Pigeons dialect's resources. The doc comments are the public documentation.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::chat::{Direct, Member};
use crate::domain::{Attachment, Json, Message, PushDevice, Timestamp, User};

/// `2025-11-02T10:30:00+00:00`.
pub fn instant(at: Timestamp) -> String {
    format!("{}+00:00", at.with_seconds().trim_end_matches('Z'))
}

fn raw(json: &Json) -> Box<RawValue> {
    RawValue::from_string(json.0.clone()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A user as the other one sees them.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Person)]
pub struct Person {
    /// Who.
    uuid: Option<Uuid>,
    /// Their name.
    #[schema(example = "Ana")]
    name: String,
    /// Address of a picture.
    #[schema(required = true, example = "https://example.com/avatars/ana.jpg")]
    avatar: Option<String>,
}

impl Person {
    /// The user as others see them; who is gone is nobody.
    pub fn of(user: Option<&User>) -> Self {
        Self {
            uuid: user.map(|user| user.uuid),
            name: user.map_or_else(String::new, |user| user.name.clone()),
            avatar: user.and_then(|user| user.avatar.clone()),
        }
    }
}

/// What is said, and what it mainly is.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Context)]
pub struct Context<'a> {
    /// As typed: whoever renders it escapes it.
    #[schema(example = "On my way")]
    text: &'a str,
    /// `text`, `image`, `file`, `audio` or `video`.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: &'static str,
}

/// An emoji that a user put to a message.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Reaction)]
pub struct ReactionResource<'a> {
    /// Whose.
    user_uuid: Option<Uuid>,
    /// The emoji.
    #[schema(example = "🚲")]
    emoji: &'a str,
    /// When.
    #[schema(example = "2026-02-03T08:00:00+00:00")]
    created_at: String,
}

/// How far a message has come.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Status)]
pub struct Status {
    /// Always true: it is stored.
    #[schema(example = true)]
    sent: bool,
    /// Whether it has reached the receiver.
    delivered: bool,
    /// Whether the receiver has read it.
    read: bool,
}

/// When what happened to a message.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Timestamps)]
pub struct Timestamps {
    /// When it was sent.
    #[schema(example = "2026-02-03T08:00:00+00:00")]
    sent_at: String,
    /// When it reached the receiver; left out until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    delivered_at: Option<String>,
    /// When the receiver read it; left out until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    read_at: Option<String>,
    /// When its sender last changed the text; left out until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    edited_at: Option<String>,
}

/// A message from one user to another.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Message)]
pub struct MessageResource<'a> {
    /// Its number.
    #[schema(example = "msg_9")]
    message_id: String,
    /// The same again; left out of the answer to sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "msg_9")]
    id: Option<String>,
    /// Its conversation.
    conversation_uuid: Uuid,
    /// Who wrote it.
    sender: Person,
    /// To whom.
    receiver: Person,
    /// What is said.
    context: Context<'a>,
    /// What is attached.
    #[schema(value_type = Vec<Object>)]
    attachments: Box<RawValue>,
    /// What the client added.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// Emojis, in the order of reacting.
    reactions: Vec<ReactionResource<'a>>,
    /// How far it has come.
    status: Status,
    /// When what happened.
    timestamps: Timestamps,
    /// The platform's public key.
    pbk: Uuid,
    /// What it was written on, as sent.
    #[schema(value_type = Object, example = json!({"type": "web", "os": "Linux"}))]
    device: Box<RawValue>,
}

/// An uploaded file.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Attachment)]
pub struct AttachmentResource<'a> {
    /// Its identifier: put the whole object, or only its `id`, among a message's attachments.
    id: Uuid,
    /// What it is called.
    #[schema(example = "photo.png")]
    name: &'a str,
    /// Its media type, found in its content.
    #[schema(example = "image/png")]
    mime: &'a str,
    /// Its size, in bytes.
    #[schema(example = 52341)]
    size: u64,
    /// Where it is downloaded, on this server; with `?thumbnail=1` a small picture of it.
    #[schema(example = "/api/v1/pigeons/chat/attachments/3fa85f64-5717-4562-b3fc-2c963f66afa6")]
    url: String,
}

/// Where uploaded files are.
pub const ATTACHMENTS: &str = "/api/v1/pigeons/chat/attachments/";

impl<'a> From<&'a Attachment> for AttachmentResource<'a> {
    fn from(attachment: &'a Attachment) -> Self {
        let url = format!("{ATTACHMENTS}{}", attachment.uuid);
        Self { id: attachment.uuid, name: &attachment.name, mime: &attachment.mime, size: attachment.size, url }
    }
}

/// Where a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// As the answer to sending it, also the second time: as it was then.
    Sent,
    /// Anywhere else: as it is now.
    Now,
}

impl<'a> MessageResource<'a> {
    /// The message as that conversation's users see it.
    pub fn new(message: &'a Message, direct: &Direct, pbk: Uuid, showing: Showing) -> Self {
        let now = showing == Showing::Now;
        let user = |id| direct.user(id).map(|member| &member.user);
        let letter = message.letter.as_deref();
        let past = letter.filter(|_| now);
        let reactions = past.map_or(&[][..], |letter| &letter.reactions).iter().map(|reaction| ReactionResource {
            user_uuid: user(reaction.user_id).map(|user| user.uuid),
            emoji: &reaction.emoji,
            created_at: instant(reaction.at),
        });
        let (delivered, read) = (past.and_then(|letter| letter.delivered_at), past.and_then(|letter| letter.read_at));
        let number = format!("msg_{}", message.id);
        Self {
            id: now.then(|| number.clone()),
            message_id: number,
            conversation_uuid: direct.conversation.uuid,
            sender: Person::of(message.user_id.and_then(user)),
            receiver: Person::of(letter.and_then(|letter| user(letter.receiver_id))),
            context: Context { text: &message.text, kind: letter.map_or("text", |letter| letter.kind.as_str()) },
            attachments: letter.map_or_else(|| raw(&Json("[]".to_owned())), |letter| raw(&letter.attachments)),
            metadata: message.metadata.as_ref().map_or_else(|| raw(&Json::empty_object()), raw),
            reactions: reactions.collect(),
            status: Status { sent: true, delivered: delivered.is_some(), read: read.is_some() },
            timestamps: Timestamps {
                sent_at: instant(message.created_at),
                delivered_at: delivered.map(instant),
                read_at: read.map(instant),
                edited_at: message.edited_at.filter(|_| now).map(instant),
            },
            pbk,
            device: letter.map_or_else(|| raw(&Json::empty_object()), |letter| raw(&letter.device.details)),
        }
    }
}

/// Where a user stands in a conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Pivot)]
pub struct Pivot {
    /// Messages that wait for them.
    #[schema(example = 2)]
    unread_count: u64,
    /// When they last read.
    #[schema(required = true)]
    last_read_at: Option<String>,
    /// Since when they take part.
    joined_at: String,
}

/// A user of a conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Participant)]
pub struct ParticipantResource {
    /// Who.
    uuid: Uuid,
    /// Their name.
    #[schema(example = "Ana")]
    name: String,
    /// Their address.
    #[schema(example = "ana@example.test")]
    email: String,
    /// Address of a picture.
    #[schema(required = true)]
    avatar: Option<String>,
    /// The same again.
    #[schema(required = true)]
    avatar_url: Option<String>,
    /// Where they stand.
    pivot: Pivot,
}

impl From<&Member> for ParticipantResource {
    fn from(member: &Member) -> Self {
        let user = &member.user;
        Self {
            uuid: user.uuid,
            name: user.name.clone(),
            email: user.email.as_str().to_owned(),
            avatar: user.avatar.clone(),
            avatar_url: user.avatar.clone(),
            pivot: Pivot {
                unread_count: member.unread,
                last_read_at: member.last_read_at.map(instant),
                joined_at: instant(member.joined_at),
            },
        }
    }
}

/// What a conversation is about.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Taggable)]
pub struct TaggableInfo {
    /// Which thing, in the integrator's numbers.
    id: i64,
    /// What it is called: null, because only the integrator knows.
    #[schema(required = true)]
    title: Option<String>,
}

/// A conversation of two users.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Conversation)]
pub struct ConversationResource {
    /// Its identifier.
    uuid: Uuid,
    /// What kind of thing it is about.
    #[schema(required = true)]
    taggable_type: Option<String>,
    /// What its last message says.
    #[schema(required = true, example = "On my way")]
    last_message_text: Option<String>,
    /// When that was sent.
    #[schema(required = true, example = "2026-02-03T08:00:00+00:00")]
    last_message_at: Option<String>,
    /// Whether it is put away.
    is_archived: bool,
    /// When it was made.
    created_at: String,
    /// When anything in it last changed.
    updated_at: String,
    /// What it is about.
    #[schema(required = true)]
    taggable_info: Option<TaggableInfo>,
    /// Its users; left out beside a list of its messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    participants: Option<Vec<ParticipantResource>>,
}

impl ConversationResource {
    /// The conversation without its users.
    pub fn bare(direct: &Direct, last: Option<&Message>) -> Self {
        let conversation = &direct.conversation;
        Self {
            uuid: conversation.uuid,
            taggable_type: conversation.tag.kind.clone(),
            last_message_text: last.map(|last| last.text.clone()),
            last_message_at: last.map(|last| instant(last.created_at)),
            is_archived: conversation.state.is_archived,
            created_at: instant(conversation.created_at),
            updated_at: instant(conversation.updated_at),
            taggable_info: conversation.tag.id.map(|id| TaggableInfo { id, title: None }),
            participants: None,
        }
    }

    /// The conversation with its users.
    pub fn whole(direct: &Direct, last: Option<&Message>) -> Self {
        let participants = direct.members.iter().map(ParticipantResource::from).collect();
        Self { participants: Some(participants), ..Self::bare(direct, last) }
    }
}

/// A user of a conversation that was just opened.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Opener)]
pub struct Opener {
    /// Who.
    uuid: Uuid,
    /// Their name.
    name: String,
    /// Their address.
    email: String,
}

/// A conversation that was just opened.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::OpenedConversation)]
pub struct OpenedConversation {
    /// Its identifier.
    uuid: Uuid,
    /// What kind of thing it is about.
    #[schema(required = true)]
    taggable_type: Option<String>,
    /// Which of them.
    #[schema(required = true)]
    taggable_id: Option<i64>,
    /// What its last message says.
    #[schema(required = true)]
    last_message_text: Option<String>,
    /// When that was sent.
    #[schema(required = true)]
    last_message_at: Option<String>,
    /// Whether it is put away.
    is_archived: bool,
    /// When it was made.
    created_at: String,
    /// When anything in it last changed.
    updated_at: String,
    /// Its users, the caller first.
    participants: Vec<Opener>,
}

impl OpenedConversation {
    /// The conversation as who opened it is shown it.
    pub fn new(direct: &Direct, last: Option<&Message>, caller: &User) -> Self {
        let bare = ConversationResource::bare(direct, last);
        let mut users: Vec<_> = direct.members.iter().map(|member| &member.user).collect();
        users.sort_by_key(|user| user.id != caller.id);
        let participants = users.into_iter().map(|user| Opener {
            uuid: user.uuid,
            name: user.name.clone(),
            email: user.email.as_str().to_owned(),
        });
        Self {
            uuid: bare.uuid,
            taggable_type: bare.taggable_type,
            taggable_id: direct.conversation.tag.id,
            last_message_text: bare.last_message_text,
            last_message_at: bare.last_message_at,
            is_archived: bare.is_archived,
            created_at: bare.created_at,
            updated_at: bare.updated_at,
            participants: participants.collect(),
        }
    }
}

/// What reading a conversation came to.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::ReadUpTo)]
pub struct ReadUpTo {
    /// How many messages were not read before.
    pub marked: usize,
    /// How many still wait for the caller.
    pub unread_count: u64,
}

/// A device that is told by push.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::PushDevice)]
pub struct PushDeviceResource {
    /// Its identifier; a new one with every registration.
    id: Uuid,
    /// What the push service calls it.
    token: String,
    /// `android`, `ios` or `web`.
    #[schema(example = "web")]
    platform: &'static str,
}

impl From<&PushDevice> for PushDeviceResource {
    fn from(device: &PushDevice) -> Self {
        Self { id: device.uuid, token: device.token.clone(), platform: device.os.as_str() }
    }
}

/// How many messages were written on a kind of device.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::DeviceCount)]
pub struct DeviceCount {
    /// `mobile`, `web` or `desktop`.
    #[serde(rename = "_id")]
    #[schema(example = "mobile")]
    pub kind: &'static str,
    /// How many.
    #[schema(example = 12)]
    pub count: u64,
}

/// How the door is.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Health)]
pub struct Health {
    /// The host under which the client reached the server.
    #[schema(example = "chat.example.com")]
    pub domain: String,
    /// The platform's name in the letters of an address.
    #[schema(example = "acme-shop")]
    pub slug: String,
    /// `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// When this was looked at.
    pub checked_at: String,
    /// Where the routes come from.
    pub routes: Routes,
}

/// Where the routes come from.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Routes)]
pub struct Routes {
    /// What holds them.
    #[schema(example = "pigeons")]
    pub file: &'static str,
    /// Always true.
    #[schema(example = true)]
    pub exists: bool,
    /// Null: they are part of the program.
    #[schema(value_type = Option<String>)]
    pub last_modified: (),
}
