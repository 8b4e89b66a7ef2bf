//! Whom the client trusts: the public web's roots, or those and one more authority from a file.
//!
//! One configuration for HTTP and MQTT, on ring.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate authority file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} cannot be used as a certificate authority: {reason}; --ca takes a PEM file",
    path.display()
)]
pub struct InvalidAuthority {
    path: PathBuf,
    reason: String,
}

/// The web's roots, with the certificates of the PEM file `authority` added.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn client_config(authority: Option<&Path>) -> Result<ClientConfig, InvalidAuthority> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = authority {
        let invalid = |reason: String| InvalidAuthority {
            path: path.to_owned(),
            reason,
        };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| invalid(error.to_string()))?;
        let (added, _ignored) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(invalid("it holds no certificate".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring implements the default TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        assert!(client_config(None).is_ok());
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = client_config(Some(file.path())).unwrap_err().to_string();
        assert!(refused.contains(&file.path().display().to_string()));
        assert!(refused.contains("no certificate"), "{refused}");
        let missing = client_config(Some(Path::new("/nonexistent.pem")));
        assert!(missing.unwrap_err().to_string().contains("nonexistent.pem"));
    }
}
