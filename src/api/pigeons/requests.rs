//! What the Pigeons dialect's requests hold, for the documents: they are read field by field, so that
//! every error is told at once.
#![expect(dead_code, reason = "describes what is read field by field")]

use utoipa::ToSchema;
use uuid::Uuid;

/// A conversation to be opened.
#[derive(ToSchema)]
#[schema(as = pigeons::OpenConversation)]
pub struct OpenConversation {
    /// The other user.
    participant_uuid: Uuid,
    /// What kind of thing it is about.
    #[schema(max_length = 255)]
    taggable_type: Option<String>,
    /// Which of them.
    taggable_id: Option<i64>,
}

/// What to change about a conversation.
#[derive(ToSchema)]
#[schema(as = pigeons::ArchiveConversation)]
pub struct ArchiveConversation {
    /// Whether it is put away, for both of its users.
    is_archived: bool,
}

/// How far a conversation was read.
#[derive(ToSchema)]
#[schema(as = pigeons::ReadConversation)]
pub struct ReadConversation {
    /// The last message that was read; all of them unless given.
    #[schema(example = "msg_9")]
    message_id: Option<String>,
}

/// What a message mainly is.
#[derive(ToSchema)]
#[schema(as = pigeons::ContextType, rename_all = "lowercase")]
pub enum ContextType {
    /// Words.
    Text,
    /// A picture.
    Image,
    /// A file.
    File,
    /// A recording.
    Audio,
    /// A film.
    Video,
}

/// What a message can be written on.
#[derive(ToSchema)]
#[schema(as = pigeons::DeviceType, rename_all = "lowercase")]
pub enum DeviceType {
    /// A telephone or tablet.
    Mobile,
    /// A browser.
    Web,
    /// A program on a computer.
    Desktop,
}

/// What a message is written on.
#[derive(ToSchema)]
#[schema(as = pigeons::SendingDevice)]
pub struct SendingDevice {
    /// Which kind.
    r#type: DeviceType,
    /// The operating system.
    #[schema(min_length = 1, max_length = 255, example = "Android")]
    os: String,
    /// Its version.
    #[schema(max_length = 255)]
    os_version: Option<String>,
    /// The client's version.
    #[schema(max_length = 255)]
    app_version: Option<String>,
    /// The device's model.
    #[schema(max_length = 255)]
    model: Option<String>,
    /// The browser.
    #[schema(max_length = 255)]
    browser: Option<String>,
    /// Its version.
    #[schema(max_length = 255)]
    browser_version: Option<String>,
}

/// What a device that is told by push says of itself.
#[derive(ToSchema)]
#[schema(as = pigeons::DescribedDevice)]
pub struct DescribedDevice {
    /// Which kind.
    #[schema(max_length = 255)]
    r#type: Option<String>,
    /// The operating system.
    #[schema(max_length = 255)]
    os: Option<String>,
    /// Its version.
    #[schema(max_length = 255)]
    os_version: Option<String>,
    /// The client's version.
    #[schema(max_length = 255)]
    app_version: Option<String>,
    /// The device's model.
    #[schema(max_length = 255)]
    model: Option<String>,
    /// The browser.
    #[schema(max_length = 255)]
    browser: Option<String>,
    /// Its version.
    #[schema(max_length = 255)]
    browser_version: Option<String>,
}

/// A message to be sent.
#[derive(ToSchema)]
#[schema(as = pigeons::SendMessage)]
pub struct SendMessage {
    /// The conversation.
    conversation_uuid: Uuid,
    /// The other user of it.
    receiver_uuid: Uuid,
    /// What is said: not blank.
    #[schema(min_length = 1, max_length = 5000, example = "Hello, how are you?")]
    context_text: String,
    /// What it mainly is.
    context_type: ContextType,
    /// At most 20 objects of at most 32 KiB in all.
    #[schema(value_type = Option<Vec<Object>>, max_items = 20)]
    attachments: Option<()>,
    /// An object of at most 32 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
    /// What it is written on.
    device: SendingDevice,
}

/// A message's new text.
#[derive(ToSchema)]
#[schema(as = pigeons::EditMessage)]
pub struct EditMessage {
    /// What it says from now on: not blank.
    #[schema(min_length = 1, max_length = 5000, example = "Hello, how are you all?")]
    context_text: String,
}

/// A reaction.
#[derive(ToSchema)]
#[schema(as = pigeons::AddReaction)]
pub struct AddReaction {
    /// The emoji.
    #[schema(min_length = 1, max_length = 10, example = "🚲")]
    emoji: String,
}

/// Which push service reaches a device.
#[derive(ToSchema)]
#[schema(as = pigeons::PushPlatform, rename_all = "lowercase")]
pub enum PushPlatform {
    /// Android.
    Android,
    /// iOS and iPadOS.
    Ios,
    /// A browser.
    Web,
}

/// A device that wants to be told by push.
#[derive(ToSchema)]
#[schema(as = pigeons::RegisterDevice)]
pub struct RegisterDevice {
    /// What the push service calls it.
    #[schema(min_length = 1, max_length = 4096)]
    token: String,
    /// Which push service.
    platform: PushPlatform,
    /// What it says of itself.
    device: Option<DescribedDevice>,
}

/// What to change about one's account: what is there.
#[derive(ToSchema)]
#[schema(as = pigeons::EditUser)]
pub struct EditUser {
    /// Their name.
    #[schema(max_length = 255, nullable = false)]
    name: Option<String>,
    /// Address of a picture, `http` or `https`; null takes it away.
    #[schema(max_length = 2048)]
    avatar: Option<String>,
    /// Their telephone number; null takes it away.
    #[schema(max_length = 20)]
    phone: Option<String>,
    /// `en`, `pt-BR` or `es`; null takes it away.
    #[schema(max_length = 35)]
    language: Option<String>,
}

/// How far a membership has come.
#[derive(ToSchema)]
#[schema(as = pigeons::RoleStatus, rename_all = "lowercase")]
pub enum RoleStatus {
    /// Given.
    Approved,
    /// Refused, or taken away.
    Disapproved,
    /// Asked for.
    Requested,
}

/// A user's role.
#[derive(ToSchema)]
#[schema(as = pigeons::SetRole)]
pub struct SetRole {
    /// How far it has come.
    status: RoleStatus,
}

/// What signing in may say beside its credentials.
#[derive(ToSchema)]
#[schema(as = pigeons::SignIn)]
pub struct SignIn {
    /// What the token is called.
    #[schema(max_length = 255, example = "Ana's telephone")]
    device: Option<String>,
    /// Whether to make no token.
    #[schema(nullable = false)]
    no_auth: Option<bool>,
}

/// A channel to be subscribed to.
#[derive(ToSchema)]
#[schema(as = pigeons::Subscribe)]
pub struct Subscribe {
    /// The channel, with or without `private-` or `presence-`.
    #[schema(min_length = 1, max_length = 164, example = "private-conversation.3fa85f64-5717-4562-b3fc-2c963f66afa6")]
    channel_name: String,
    /// The socket, as the server named it.
    #[schema(pattern = r"^\d+\.\d+$", max_length = 64, example = "1234.1234")]
    socket_id: String,
    /// The largest `cursor` that the client has seen: what came later is told first. An object of cursors by
    /// channel does, too, and the text of one.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 9007199254740991_i64, example = 4711)]
    since: Option<i64>,
}

/// A connection that is to be a user's.
#[derive(ToSchema)]
#[schema(as = pigeons::SignInSocket)]
pub struct SignInSocket {
    /// The socket, as the server named it.
    #[schema(pattern = r"^\d+\.\d+$", max_length = 64, example = "1234.1234")]
    socket_id: String,
}
