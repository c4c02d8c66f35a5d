//! Pages of a list: which one a client asks for, and what stands around it.

use serde::Serialize;
use utoipa::ToSchema;

use super::context::Ctx;
use super::wire::{ConversationResource, MessageResource};
use crate::error::Rule;
use crate::http::fields::Fields;

/// The most that a client gets on a page.
const LIMIT_MAX: i64 = 100;
/// How many it gets unless it says otherwise.
const LIMIT: i64 = 10;
/// Longest cursor, in characters.
const CURSOR_CHARS_MAX: usize = 64;

/// Which part of a list a client asks for.
pub enum Asked<C> {
    /// All of it.
    Whole,
    /// A page beside a cursor, or the first.
    Beside(Beside<C>),
    /// A page by its number.
    Page(Numbered),
}

/// A page beside a cursor.
pub struct Beside<C> {
    /// Only what is older than that.
    pub before: Option<C>,
    /// Only what is newer than that.
    pub after: Option<C>,
    /// At most this many.
    pub limit: usize,
}

/// A page by its number.
#[derive(Clone, Copy)]
pub struct Numbered {
    /// 1, 2, 3, …
    pub number: u64,
    /// How many to a page.
    pub size: u64,
}

impl Numbered {
    /// How many stand before it.
    pub fn offset(self) -> u64 {
        (self.number - 1).saturating_mul(self.size)
    }
}

/// Reads the query of a list whose cursors `cursor` reads. Sizes are clamped; what is no number is wrong.
pub fn asked<C>(query: &mut Fields, cursor: impl Fn(&str) -> Option<C>) -> Asked<C> {
    if query.has("page") || query.has("per_page") {
        let number = query.integer("page").unwrap_or(1).max(1).unsigned_abs();
        let size = query.integer("per_page").unwrap_or(LIMIT).clamp(1, LIMIT_MAX).unsigned_abs();
        return Asked::Page(Numbered { number, size });
    }
    if !["limit", "before", "after"].into_iter().any(|name| query.has(name)) {
        return Asked::Whole;
    }
    Asked::Beside(beside(query, cursor))
}

/// Reads the query of a list that is never told whole.
pub fn beside<C>(query: &mut Fields, cursor: impl Fn(&str) -> Option<C>) -> Beside<C> {
    let limit = query.integer("limit").unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let mut end = |name| {
        let raw = query.optional(name, CURSOR_CHARS_MAX)?;
        let found = cursor(&raw);
        if found.is_none() {
            query.wrong(name, Rule::Exists);
        }
        found
    };
    let (before, after) = (end("before"), end("after"));
    Beside { before, after, limit: usize::try_from(limit).unwrap_or(1) }
}

/// The addresses of the pages around one; null where there is none.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Links)]
pub struct Links {
    /// The first page; null where pages are told by cursors.
    #[schema(required = true)]
    first: Option<String>,
    /// The last page; null where pages are told by cursors.
    #[schema(required = true)]
    last: Option<String>,
    /// The page before.
    #[schema(required = true)]
    prev: Option<String>,
    /// The page after.
    #[schema(required = true)]
    next: Option<String>,
}

/// What a page is, among numbered ones.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::PageMeta)]
pub struct PageMeta {
    /// Its number.
    current_page: u64,
    /// The number of its first item; null when it is empty.
    #[schema(required = true)]
    from: Option<u64>,
    /// The number of the last page.
    last_page: u64,
    /// The list's address.
    path: String,
    /// How many to a page.
    per_page: u64,
    /// The number of its last item; null when it is empty.
    #[schema(required = true)]
    to: Option<u64>,
    /// How many there are in all.
    total: u64,
}

/// What a page is, among those that are told by cursors.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::CursorMeta)]
pub struct CursorMeta {
    /// The list's address.
    path: String,
    /// How many to a page.
    per_page: usize,
    /// The cursor of the page after, as its address has it; null when there is none.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// The cursor of the page before, as its address has it; null when there is none.
    #[schema(required = true)]
    prev_cursor: Option<String>,
}

/// A list of conversations, whole or a page.
#[derive(ToSchema)]
#[schema(as = pigeons::ConversationList)]
#[expect(dead_code, reason = "describes what is written piece by piece")]
pub struct ConversationList {
    /// The conversations, the newest message first.
    data: Vec<ConversationResource>,
    /// The pages around; left out of a whole list.
    #[schema(nullable = false)]
    links: Option<Links>,
    /// What the page is; left out of a whole list.
    #[schema(nullable = false)]
    meta: Option<Meta>,
}

/// A list of messages, whole or a page.
#[derive(ToSchema)]
#[schema(as = pigeons::MessageList)]
#[expect(dead_code, reason = "describes what is written piece by piece")]
pub struct MessageList<'a> {
    /// The messages, oldest first; of a search the newest first.
    data: Vec<MessageResource<'a>>,
    /// Their conversation, without its users; left out of a search.
    #[schema(nullable = false)]
    conversation: Option<ConversationResource>,
    /// The pages around; left out of a whole list.
    #[schema(nullable = false)]
    links: Option<Links>,
    /// What the page is; left out of a whole list.
    #[schema(nullable = false)]
    meta: Option<Meta>,
}

/// What a page is.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = pigeons::Meta)]
#[expect(dead_code, reason = "describes what is written piece by piece")]
pub enum Meta {
    /// Among numbered ones.
    Page(PageMeta),
    /// Among those that are told by cursors.
    Cursor(CursorMeta),
}

/// What follows the data of a page.
#[derive(Serialize)]
pub struct Around<M> {
    links: Links,
    meta: M,
}

/// What stands around a numbered page that has that many items.
pub fn around_number(ctx: &Ctx, page: Numbered, items: usize, total: u64) -> Around<PageMeta> {
    let last_page = total.div_ceil(page.size).max(1);
    let link = |number: u64| Some(ctx.link(&[("page", Some(number.to_string()))]));
    let from = (items > 0).then(|| page.offset() + 1);
    Around {
        links: Links {
            first: link(1),
            last: link(last_page),
            prev: (page.number > 1).then(|| link(page.number - 1)).flatten(),
            next: (page.number < last_page).then(|| link(page.number + 1)).flatten(),
        },
        meta: PageMeta {
            current_page: page.number,
            from,
            last_page,
            path: ctx.path(),
            per_page: page.size,
            to: from.map(|from| from + items as u64 - 1),
            total,
        },
    }
}

/// A neighbour of a page: the parameter that leads there, and its cursor.
pub type Neighbour = Option<(&'static str, String)>;

/// What stands around a page that is told by cursors.
pub fn around_cursors(ctx: &Ctx, limit: usize, prev: Neighbour, next: Neighbour) -> Around<CursorMeta> {
    let link = |to: &Neighbour| {
        let (name, cursor) = to.as_ref()?;
        let other = if *name == "before" { "after" } else { "before" };
        Some(ctx.link(&[(name, Some(cursor.clone())), (other, None)]))
    };
    Around {
        links: Links { first: None, last: None, prev: link(&prev), next: link(&next) },
        meta: CursorMeta {
            path: ctx.path(),
            per_page: limit,
            next_cursor: next.map(|(_, cursor)| cursor),
            prev_cursor: prev.map(|(_, cursor)| cursor),
        },
    }
}

/// The JSON that closes a page behind its data: `],"links":…,"meta":…}`, with `more` members before.
pub fn closing(more: &str, around: &impl Serialize) -> Vec<u8> {
    let around = crate::http::json::bytes(around);
    // The object's members, without its opening brace.
    let mut closing = format!("]{more},").into_bytes();
    closing.extend_from_slice(&around[1..]);
    closing
}
