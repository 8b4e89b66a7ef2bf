//! `belfry keys link` and `belfry keys accept`: a new device gets the keys from one that has them.

use super::terminal::{self, Style};
use super::{Globals, signed_out};
use crate::link::{Answer, LINK_SECS, LinkKeys, LinkSecret, Request};
use crate::linking::{Meeting, Side};
use crate::state::StoredDevice;
use crate::sync::Keys;
use anyhow::{Context as _, bail};
use serde_json::json;
use std::io::IsTerminal as _;
use std::time::Duration;
use tokio::time::timeout;

/// How long a code is waited for.
const CODE_WAIT: Duration = Duration::from_secs(LINK_SECS as u64);
/// How long the linked device looks for what the new one left before it showed the code; and how
/// long taking a message away may take at the end.
const REQUEST_WAIT: Duration = Duration::from_secs(3);
/// How long connecting and leaving a message may take.
const CONNECT_WAIT: Duration = Duration::from_secs(30);
/// How long the linked device waits for the new one to say that it is done.
const DONE_WAIT: Duration = Duration::from_secs(60);

const LINK_EXAMPLE: &str = "Example:
  belfry keys link";
const ACCEPT_EXAMPLE: &str = "Example:
  belfry keys accept XKQ2-7M4D-JV3A-N5TE-R6WC-ZPQH-2Y7B-K4LM";

/// On a new device: show a code, and get the keys from a device that has them.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = LINK_EXAMPLE)]
pub(super) struct Link {}

/// On a device that has the keys: link the new one that shows this code.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = ACCEPT_EXAMPLE)]
pub(super) struct Accept {
    /// The code that the new device shows, or the address in its QR code
    code: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Link {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let device = globals.device()?;
        let keys = globals.keyring()?;
        let itself = device.trusted()?;
        if let Some(copy) = keys.file().load()?
            && copy.keyring.trusts(&itself.key)
            && keys.sync().await.is_ok()
        {
            bail!("this device is linked already; belfry keys shows what it has");
        }
        if keys.server().keyring().await.map_err(signed_out)?.is_none() {
            bail!("this account has no keyring yet; belfry login makes it");
        }
        let request = Request {
            user: keys.user(),
            device: itself.id,
            key: itself.key,
            name: itself.name,
            kind: itself.kind,
        };
        let secret = LinkSecret::generate();
        let place = secret.keys();
        let _borrowed = globals.state()?.borrow_connection()?;
        let mut meeting = Meeting::new(&device.device, &globals.tls()?, &place, Side::NewDevice)?;
        // Before the code is shown: it is good from the moment it can be read.
        let sealed = place.seal_request(&request, crate::keys::random());
        let said = timeout(CONNECT_WAIT, meeting.say(sealed)).await;
        said.ok()
            .context("the server's MQTT does not answer; try again")??;
        show_code(&secret, keys.server().base(), globals)?;
        let answered = timeout(CODE_WAIT, answered(&mut meeting, &place));
        let answer = tokio::select! {
            answer = answered => match answer {
                Ok(answer) => answer,
                Err(_) => Err(anyhow::anyhow!(
                    "nobody typed the code within ten minutes; run belfry keys link again"
                )),
            },
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("given up; the code is no longer good")),
        };
        let taken = match answer {
            Ok(answer) => keys
                .take_linked(&request, &answer)
                .await
                .map_err(Into::into),
            Err(error) => Err(error),
        };
        // The code is good for one device and one attempt. If this does not reach the server, the
        // message expires.
        let _ = timeout(REQUEST_WAIT, meeting.say(Vec::new())).await;
        meeting.leave().await;
        taken?;
        say_linked(&keys, globals)
    }
}

/// The answer that opens. What does not is not from who has the code.
async fn answered(meeting: &mut Meeting, place: &LinkKeys) -> anyhow::Result<Answer> {
    loop {
        if let Some(answer) = place.open_answer(&meeting.hear().await?) {
            return Ok(answer);
        }
    }
}

fn show_code(secret: &LinkSecret, server: &str, globals: &Globals) -> anyhow::Result<()> {
    let address = secret.address(server);
    if globals.json {
        let shown = json!({"event": "code", "code": secret.to_string(), "address": address, "expires_in": LINK_SECS});
        return Ok(terminal::print(&terminal::json(&shown))?);
    }
    if std::io::stderr().is_terminal()
        && let Ok(code) = qrcode::QrCode::new(&address)
    {
        let drawn = code
            .render::<qrcode::render::unicode::Dense1x2>()
            .dark_color(qrcode::render::unicode::Dense1x2::Light)
            .light_color(qrcode::render::unicode::Dense1x2::Dark)
            .build();
        // Each line in colours of its own: readers expect dark on light, terminals are of either kind.
        let style = Style::of(&std::io::stderr());
        let lines: Vec<_> = drawn
            .lines()
            .map(|line| style.white_on_black(line))
            .collect();
        terminal::note(&lines.join("\n"));
    }
    terminal::print(&secret.to_string())?;
    terminal::note(
        "Type this on a device that has your keys, within ten minutes: belfry keys accept CODE, or in the console. Show it to nobody else.",
    );
    Ok(())
}

fn say_linked(keys: &Keys, globals: &Globals) -> anyhow::Result<()> {
    let keyring = keys.local()?.keyring;
    let (devices, permissions) = (keyring.devices().count(), keyring.permissions().len());
    if globals.json {
        let shown = json!({"event": "linked", "generation": keyring.generation, "devices": devices, "permissions": permissions});
        return Ok(terminal::print(&terminal::json(&shown))?);
    }
    terminal::note(&format!(
        "Linked: this device has the keys of {}.",
        terminal::permissions(permissions)
    ));
    Ok(())
}

impl Accept {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        // A slip of the finger ends here, before anything is sent.
        let secret: LinkSecret = self.code.parse()?;
        let device = globals.device()?;
        let keys = globals.keyring()?;
        keys.sync().await?;
        let place = secret.keys();
        let borrowed = globals.state()?.borrow_connection()?;
        let request = requested(&device, globals, &place).await?;
        if request.user != keys.user() {
            bail!("that device is of another account; nothing was sent to it");
        }
        if request.device == keys.device() {
            bail!("that is this device; type the code on another one");
        }
        drop(borrowed);
        confirm(&request, self.yes)?;
        let answer = keys.admit(&request).await?;
        let _borrowed = globals.state()?.borrow_connection()?;
        let done = answer_it(&device, globals, &place, &answer).await?;
        if globals.json {
            let shown = json!({"event": "accepted", "device_id": request.device, "name": request.name,
                "fingerprint": request.key.fingerprint(), "taken": done});
            return Ok(terminal::print(&terminal::json(&shown))?);
        }
        let name = terminal::line(&request.name);
        terminal::note(&match done {
            true => format!("{name} is linked."),
            false => format!(
                "{name} may take the keys within ten minutes; it has not yet said that it did."
            ),
        });
        Ok(())
    }
}

/// What the new device left at the place.
async fn requested(
    device: &StoredDevice,
    globals: &Globals,
    place: &LinkKeys,
) -> anyhow::Result<Request> {
    let mut meeting = Meeting::new(&device.device, &globals.tls()?, place, Side::LinkedDevice)?;
    let connected = timeout(CONNECT_WAIT, meeting.connect()).await;
    connected
        .ok()
        .context("the server's MQTT does not answer; try again")??;
    let heard = timeout(REQUEST_WAIT, async {
        loop {
            let message = meeting.hear().await?;
            if !message.is_empty() {
                return Ok::<_, crate::listen::ListenError>(message);
            }
        }
    })
    .await;
    meeting.leave().await;
    let message = heard.ok().context(
        "no device waits under this code; is it still shown there, on the same account and server?",
    )??;
    place
        .open_request(&message)
        .context("what waits under this code was not made with it; nothing was sent. Begin again with belfry keys link")
}

fn confirm(request: &Request, yes: bool) -> anyhow::Result<()> {
    terminal::note(&format!(
        "This gives your keys to a device:\n  name         {}\n  kind         {}\n  fingerprint  {}",
        terminal::line(&request.name),
        terminal::line(&request.kind),
        request.key.fingerprint()
    ));
    if yes || terminal::ask("Link it?")? {
        return Ok(());
    }
    bail!("not linked; nothing was sent to it")
}

/// Leaves the answer until the new device takes its request away. Whether it did.
async fn answer_it(
    device: &StoredDevice,
    globals: &Globals,
    place: &LinkKeys,
    answer: &Answer,
) -> anyhow::Result<bool> {
    let mut meeting = Meeting::new(&device.device, &globals.tls()?, place, Side::LinkedDevice)?;
    let sealed = place.seal_answer(answer, crate::keys::random());
    let said = timeout(CONNECT_WAIT, meeting.say(sealed)).await;
    said.ok()
        .context("the server's MQTT does not answer; the new device has heard nothing")??;
    let done = timeout(DONE_WAIT, async {
        while !meeting.hear().await?.is_empty() {}
        Ok::<_, crate::listen::ListenError>(())
    })
    .await;
    let done = match done {
        Ok(heard) => heard.map(|()| true)?,
        Err(_) => false,
    };
    if done {
        let _ = timeout(REQUEST_WAIT, meeting.say(Vec::new())).await;
    }
    meeting.leave().await;
    Ok(done)
}
