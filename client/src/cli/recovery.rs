//! `belfry keys recovery`, `recover` and `repair`: the keys when devices or the server were lost.

use super::{Globals, terminal};
use crate::recovery::Phrase;
use anyhow::{Context as _, bail};
use serde_json::json;
use std::io::{BufRead as _, IsTerminal as _, Read as _};

/// Longest phrase that is read, in bytes: twelve words take a tenth of it.
const PHRASE_BYTES_MAX: u64 = 1024;

/// Make a recovery phrase: twelve words that open your keys when no device is left.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:\n  belfry keys recovery")]
pub(super) struct Recovery {
    /// Replace an earlier phrase without asking
    #[arg(long)]
    yes: bool,
}

/// Get your keys with the recovery phrase.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:\n  belfry keys recover\n  belfry keys recover < phrase.txt")]
pub(super) struct Recover {}

/// Put this device's copy back, after the server was restored from a backup.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:\n  belfry keys repair")]
pub(super) struct Repair {}

impl Recovery {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let keys = globals.keyring()?;
        keys.sync().await?;
        let there_is = keys.local()?.keyring.recovery().is_some();
        if there_is
            && !self.yes
            && !terminal::ask(
                "There is a phrase already, and it will be worth nothing. Replace it?",
            )?
        {
            bail!("the phrase stays as it was");
        }
        let phrase = keys.new_phrase().await?;
        if globals.json {
            return Ok(terminal::print(&terminal::json(
                &json!({"phrase": phrase.to_string()}),
            ))?);
        }
        terminal::print(&phrase.to_string())?;
        terminal::note(
            "Write these twelve words down and keep them offline. They are shown this once; who has them and your sign-in can read your notifications.",
        );
        Ok(())
    }
}

impl Recover {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let device = globals.device()?;
        let keys = globals.keyring()?;
        let phrase: Phrase = read_phrase()?.parse()?;
        keys.recover(&phrase, &device.trusted()?).await?;
        let keyring = keys.local()?.keyring;
        let permissions = keyring.permissions().len();
        if globals.json {
            let shown = json!({"event": "recovered", "generation": keyring.generation, "permissions": permissions});
            return Ok(terminal::print(&terminal::json(&shown))?);
        }
        terminal::note(&format!(
            "Recovered: this device has the keys of {}. Remove the devices that you no longer have with belfry devices remove.",
            terminal::permissions(permissions)
        ));
        Ok(())
    }
}

impl Repair {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let repaired = globals.keyring()?.repair().await?;
        if globals.json {
            return Ok(terminal::print(&terminal::json(
                &json!({"repaired": repaired}),
            ))?);
        }
        terminal::note(match repaired {
            true => "The server has this device's copy of your keys again.",
            false => "The server's keyring is in order; nothing was put.",
        });
        Ok(())
    }
}

fn read_phrase() -> anyhow::Result<String> {
    let mut text = String::new();
    let stdin = std::io::stdin();
    let read = if stdin.is_terminal() {
        terminal::note("Your twelve words, on one line:");
        stdin.lock().take(PHRASE_BYTES_MAX).read_line(&mut text)
    } else {
        stdin
            .lock()
            .take(PHRASE_BYTES_MAX)
            .read_to_string(&mut text)
    };
    read.context("the phrase cannot be read from stdin")?;
    Ok(text)
}
