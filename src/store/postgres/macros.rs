//! The two ways in which a method of the store reaches the database.

/// Runs `work` with a transaction, again when it gave way to another, and in a task of its own: whoever asked may go
/// away. `work` sees the arguments of the method by reference.
macro_rules! transact {
    ($self:ident, $tx:ident => $work:expr) => {{
        let core = std::sync::Arc::clone(&$self.core);
        $crate::store::postgres::detached(async move {
            let mut tries = 0;
            loop {
                let mut begun = $crate::store::postgres::conn::Tx::begin(&core).await?;
                let outcome = {
                    let $tx = &mut begun;
                    $work.await
                };
                match begun.end(outcome).await {
                    Err(fail) if fail.is_transient() && tries < 5 => tries += 1,
                    done => break done,
                }
            }
        })
        .await
    }};
}

/// Runs `work` with a connection.
macro_rules! fetch {
    ($self:ident, $conn:ident => $work:expr) => {{
        $self.core.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let got = $self.core.conn().await?;
        let $conn = &got;
        $work.await.map_err($crate::error::Error::from)
    }};
}

/// Runs `work` with a connection whose answers may be late by the bound that the configuration names.
macro_rules! fetch_late {
    ($self:ident, $conn:ident => $work:expr) => {{
        $self.core.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let got = $self.core.late_conn().await?;
        let $conn = &got;
        $work.await.map_err($crate::error::Error::from)
    }};
}
