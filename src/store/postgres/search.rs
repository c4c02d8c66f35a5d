//! Searching conversations in any letter case, however the letters are spelled.
//!
//! PostgreSQL folds case by what its locale says, or its operator's. So the comparison is ours, as with the embedded
//! store: the few columns that are compared are read in slices, and whole rows only of the page that is shown.

use super::conn::Conn;
use super::conversations;
use super::fail::Fail;
use super::rows;
use crate::domain::{Conversation, ConversationId, ConversationKind};
use crate::store::search::folded;
use crate::store::{ConversationFilter, Page};

/// How many rows are looked at between two looks at who else wants the thread.
const SLICE_ROWS: usize = 500;

/// A page of the kind's conversations whose key or visitor holds `search`.
pub(super) async fn page(
    conn: &Conn,
    kind: ConversationKind,
    filter: &ConversationFilter,
    search: &str,
) -> Result<Page<Conversation>, Fail> {
    let part = folded(search);
    let (mut total, mut shown, mut before) = (0, Vec::new(), i64::MAX);
    loop {
        let slice = slice(conn, kind, filter, before).await?;
        for (id, key, visitor) in &slice {
            if folded(key).contains(&part) || folded(visitor).contains(&part) {
                if total >= filter.offset && shown.len() < filter.limit {
                    shown.push(*id);
                }
                total += 1;
            }
        }
        match slice.last() {
            Some((last, ..)) if slice.len() == SLICE_ROWS => before = last.0,
            _ => break,
        }
    }
    Ok(Page { total, items: conversations::by_ids(conn, &shown).await? })
}

async fn slice(
    conn: &Conn,
    kind: ConversationKind,
    filter: &ConversationFilter,
    before: i64,
) -> Result<Vec<(ConversationId, String, String)>, Fail> {
    let visitor = filter.external_user_id.as_deref();
    if visitor.is_some_and(|visitor| visitor.contains('\0')) {
        return Ok(Vec::new());
    }
    let whose = if visitor.is_some() { "c.external_user_id = $3" } else { "$3::text is null" };
    let sql = format!(
        "select c.id, c.key, coalesce(c.external_user_id, '') from {} \
         where c.kind = $1 and ($2::boolean is null or h.is_active = $2) and {whose} and c.id < $4 \
         order by c.id desc limit $5",
        conversations::TABLES
    );
    let (kind, limit) = (kind.as_str(), rows::limit(SLICE_ROWS));
    let found = conn.rows(&sql, &[&kind, &filter.is_active, &visitor, &before, &limit]).await?;
    found.iter().map(|row| Ok((ConversationId(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?))).collect()
}
