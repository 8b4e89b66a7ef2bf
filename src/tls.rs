//! The certificate: read at the start, and again on SIGHUP.

use crate::http::Tls;
use anyhow::Context as _;
use belfry_config::Config;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The certificate of the configuration, where it names one.
pub(crate) fn load(config: &Config) -> anyhow::Result<Option<Tls>> {
    Ok(read(config)?.map(|server| Arc::new(RwLock::new(Arc::new(server)))))
}

fn read(config: &Config) -> anyhow::Result<Option<rustls::ServerConfig>> {
    let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) else {
        return Ok(None);
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .with_context(|| {
            format!(
                "tls.cert = {}: must be a PEM file with a certificate",
                cert.display()
            )
        })?;
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| {
        format!(
            "tls.key = {}: must be a PEM file with a private key",
            key.display()
        )
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .context("tls.cert and tls.key do not fit together")?;
    Ok(Some(server))
}

/// Reads the certificate again whenever SIGHUP comes; one that cannot be used changes nothing. Without
/// TLS there is nothing to read, and the signal must not end the process as it would by itself.
///
/// # Errors
/// The signal cannot be caught.
pub(crate) fn reload_on_hangup(
    config: Config,
    tls: Option<Tls>,
    stopping: CancellationToken,
) -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while stopping.run_until_cancelled(hangup.recv()).await.is_some() {
            match (&tls, read(&config)) {
                (Some(tls), Ok(Some(server))) => {
                    *tls.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(server);
                    tracing::info!("the certificate was read again");
                }
                (_, Err(error)) => {
                    tracing::error!(error = format!("{error:#}"), "the old certificate stays");
                }
                _ => tracing::info!("there is no certificate to read again"),
            }
        }
    })
}
