//! Whether the store can be written, found out by writing.

use super::conn::Tx;
use super::fail::Fail;

/// A row that comes and goes within one transaction, which is written and committed all the same. Each has a name of
/// its own: were it one row that all nodes write, one that is frozen while it holds that would make all of them unready.
pub(super) async fn write(tx: &Tx) -> Result<(), Fail> {
    const NAME: &str = "'probe-' || pg_current_xact_id()::text";
    tx.execute(&format!("insert into secrets (name, value) values ({NAME}, '')"), &[]).await?;
    tx.execute(&format!("delete from secrets where name = {NAME}"), &[]).await?;
    Ok(())
}
