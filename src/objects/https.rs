//! How an S3 service is spoken to: the TLS that the rest of Roost has (rustls over ring, with the
//! roots that Mozilla trusts), and waits that end.

use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};

use crate::error::Cause;

/// The longest that a connection may take to come about, and that an answer may pause.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
const READ_WAIT: Duration = Duration::from_secs(30);

/// Makes the client that `object_store` speaks through. Its own one would look for cryptography that
/// the process as a whole has chosen, and nothing here is global.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = client().map_err(|source| object_store::Error::Generic { store: "S3", source })?;
        Ok(HttpClient::new(client))
    }
}

fn client() -> Result<reqwest::Client, Cause> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // A signature is for one host: what leads elsewhere is not followed.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WAIT)
        .read_timeout(READ_WAIT)
        .build()?;
    Ok(client)
}
