//! What `send` and `encrypt` share: the subscription to encrypt to, and how.

use crate::keys::{BoxSecretKey, PushSubscription, Sealing};
use anyhow::{Context as _, bail};
use belfry_protocol::push::ContentEncoding;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest subscription or key file that is read, in bytes.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// For whom, and how.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Seal {
    /// The PushSubscription JSON, or - for stdin
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// aes128gcm or crypto-box [default: crypto-box with --site-key-file, else aes128gcm]
    #[arg(long, value_name = "ENCODING", value_parser = parse_encoding)]
    encoding: Option<ContentEncoding>,
    /// The site's crypto-box key, made by belfry keys site-new
    #[arg(long, value_name = "FILE")]
    site_key_file: Option<PathBuf>,
}

fn parse_encoding(text: &str) -> Result<ContentEncoding, belfry_protocol::push::InvalidHeader> {
    text.parse()
}

/// A site's key pair, as `belfry keys` writes it and npm `web-push` its VAPID keys.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyPairJson {
    pub(super) public_key: String,
    pub(super) private_key: String,
}

impl Seal {
    /// Whether stdin is taken by the subscription.
    pub(super) fn takes_stdin(&self) -> bool {
        self.to == Path::new("-")
    }

    pub(super) fn subscription(&self) -> anyhow::Result<PushSubscription> {
        let text = if self.takes_stdin() {
            read(std::io::stdin()).context("the subscription cannot be read from stdin")?
        } else {
            read_file(&self.to)?
        };
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is not a PushSubscription; it should be what belfry approve or a browser gave",
                self.to.display()
            )
        })
    }

    /// Encrypts, and says how.
    pub(super) fn seal(
        &self,
        subscription: &PushSubscription,
        plaintext: &[u8],
    ) -> anyhow::Result<(ContentEncoding, Vec<u8>)> {
        let default = match self.site_key_file {
            Some(_) => ContentEncoding::CryptoBox,
            None => ContentEncoding::Aes128gcm,
        };
        let key;
        let sealing = match (self.encoding.unwrap_or(default), &self.site_key_file) {
            (ContentEncoding::Aes128gcm, _) => Sealing::Aes128gcm,
            (ContentEncoding::CryptoBox, Some(path)) => {
                let parsed = BoxSecretKey::parse(&read_key_pair(path)?.private_key);
                key = parsed.with_context(|| {
                    format!("{} (belfry keys site-new makes one)", path.display())
                })?;
                Sealing::CryptoBox(&key)
            }
            (ContentEncoding::CryptoBox, None) => {
                bail!(
                    "crypto-box needs the site's key: --site-key-file FILE, made by belfry keys site-new"
                )
            }
        };
        let body = subscription.encrypt(plaintext, sealing)?;
        Ok((sealing.encoding(), body))
    }
}

pub(super) fn read_key_pair(path: &Path) -> anyhow::Result<KeyPairJson> {
    let text = read_file(path)?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is not a key file, which is {{\"publicKey\":…,\"privateKey\":…}}",
            path.display()
        )
    })
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    let opened = std::fs::File::open(path).and_then(read);
    opened.with_context(|| format!("{} cannot be read", path.display()))
}

fn read(source: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    source.take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
