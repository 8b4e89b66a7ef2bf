//! `belfry encrypt`: stdin to an encrypted body, for posting with curl.

use super::seal::Seal;
use anyhow::{Context as _, bail};
use belfry_protocol::push::BODY_BYTES_MAX;
use std::io::{IsTerminal as _, Read as _, Write as _};

const EXAMPLE: &str = "Example:
  echo '{\"title\":\"Hello\"}' | belfry encrypt --to subscription.json > body
  curl --data-binary @body -H 'TTL: 60' -H 'Content-Encoding: aes128gcm' \\
    \"$(jq -r .endpoint subscription.json)\"";

/// Encrypt stdin for a subscription, to post it with another program.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Encrypt {
    #[command(flatten)]
    seal: Seal,
}

impl Encrypt {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.seal.takes_stdin() {
            bail!("stdin is the message here; give --to a file");
        }
        let mut stdout = std::io::stdout();
        if stdout.is_terminal() {
            bail!("an encrypted body is no text for a terminal; send stdout to a file or program");
        }
        let subscription = self.seal.subscription()?;
        let mut plaintext = Vec::new();
        // One byte more than fits, so that what is too long is refused and not cut.
        let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX) + 1;
        let read = std::io::stdin().take(limit).read_to_end(&mut plaintext);
        read.context("the message cannot be read from stdin")?;
        let (_, body) = self.seal.seal(&subscription, &plaintext)?;
        stdout.write_all(&body)?;
        Ok(stdout.flush()?)
    }
}
