//! Connections to the server.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresOptions;
use crate::error::{Error, Result};

/// How long to wait for the server to accept a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// A pool of connections to that server.
///
/// # Errors
/// `Internal` with a sentence for the operator when the address is none.
pub(in crate::store) fn make(url: &str, options: &PostgresOptions) -> Result<Pool> {
    let config = config(url)?;
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if config.get_ssl_mode() == SslMode::Disable {
        Manager::from_config(config, tokio_postgres::NoTls, manager_config)
    } else {
        Manager::from_config(config, tls()?, manager_config)
    };
    let settings = settings(options.fsync);
    let built = Pool::builder(manager)
        .max_size(options.pool.max(1) + options.lanes.max(1))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(options.queue_wait), create: Some(CONNECT_WAIT), recycle: Some(CONNECT_WAIT) })
        .post_create(Hook::async_fn(move |client, _| {
            let settings = settings.clone();
            Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
        }))
        .build();
    built.map_err(Error::internal)
}

/// What every connection is told first. A node that is frozen in the middle of a transaction would hold its locks, and
/// with them the horizon, for ever.
///
/// Every statement here is written for indexes whose order it follows, a few rows at a time. What a server that has no
/// statistics yet, or a plan for unknown values, takes for cheaper (all of a conversation's rows and then a sort, all
/// conversations into a hash table) is right in a small store, and stays when the store has grown. Several workers for
/// one page, which the server takes for cheaper in a large one, each read pages of their own and throw most of them away.
fn settings(fsync: bool) -> String {
    let commit = if fsync { "on" } else { "off" };
    format!(
        "set synchronous_commit = {commit}; set idle_in_transaction_session_timeout = '10s'; \
         set statement_timeout = '30s'; set lock_timeout = '10s'; set jit = off; set timezone = 'UTC'; \
         set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off; \
         set max_parallel_workers_per_gather = 0; \
         set enable_hashjoin = off; set enable_mergejoin = off"
    )
}

fn config(url: &str) -> Result<Config> {
    let name = |error| Error::internal(format!("store.url is no address of a PostgreSQL server: {error}"));
    let mut config = Config::from_str(url).map_err(name)?;
    config.connect_timeout(CONNECT_WAIT).application_name("roost");
    // A server that vanished without a word is noticed while nothing is sent, and while nothing is acknowledged.
    config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(15));
    Ok(config)
}

/// TLS as the address asks for it (`sslmode`), against the public certificate authorities.
fn tls() -> Result<MakeRustlsConnect> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
