//! This device's keyring and the server's, brought together.
//!
//! The local copy changes first and is then put, so a change made offline is put at the next
//! contact. What the server serves is judged before anything of it is believed; while it is refused
//! nothing is uploaded. A lost race is merged and tried again, a bounded number of times.

mod rotation;

use crate::keyring::judge::{self, Refused};
use crate::keyring::merge::same_contents;
use crate::keyring::{IdTaken, Keyring, KeyringKey, KeyringProblem, TrustedDevice};
use crate::keys::{BoxSecretKey, random, random_u32};
use crate::link::{Answer, Request};
use crate::recovery::Phrase;
use crate::server::{self, Server, ServerError};
use crate::state::{KeyFile, LocalCopy, StateError, StoredDevice};
use belfry_protocol::id::{DeviceId, UserId};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Attempts at a put before it is given up: with all of a user's 20 devices at it, each loses to
/// every other once.
const TRIES_MAX: u32 = 20;
/// The longest wait before another attempt, for each attempt before it.
const PAUSE: Duration = Duration::from_millis(10);

/// Why the keyring is not in step with the server's.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The account has a keyring, and this device does not have its key.
    #[error(
        "this device does not have your keys yet: run belfry keys link here and follow it, or belfry keys recover with your recovery phrase"
    )]
    NotLinked,
    /// What the server serves is refused.
    #[error("{0}; this device keeps its own copy and has uploaded nothing")]
    Refused(#[from] Refused),
    /// The server has none, where it had one.
    #[error(
        "the server says that there is no keyring, but this device has one (generation {0}); it keeps its copy and has uploaded nothing"
    )]
    Vanished(u64),
    /// Nothing to recover with.
    #[error("the server has nothing for a recovery phrase; was one made for this account?")]
    NoRecovery,
    /// The server gave a new device the id of a trusted one.
    #[error(transparent)]
    IdTaken(#[from] IdTaken),
    /// Another device was faster each time.
    #[error("other devices changed the keyring {TRIES_MAX} times meanwhile; try again")]
    Busy,
    /// It cannot be sealed.
    #[error("the change cannot be shared")]
    Keyring(#[from] KeyringProblem),
    /// The server refused or did not answer.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The local copy cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The local copy is another account's.
    #[error("{} holds another account's keys; choose another file with --keys", .0.display())]
    OtherAccount(PathBuf),
    /// The device's file holds something else.
    #[error("this device's file is of no use: {0}; make the device again with belfry login")]
    Device(String),
}

/// A device's keyring, with the server that carries it.
#[derive(Clone)]
pub struct Keys {
    server: Server,
    file: KeyFile,
    user: UserId,
    device: DeviceId,
    secret: BoxSecretKey,
}

/// Which wraps go with a put.
enum Wraps {
    /// For these devices.
    Devices(Vec<DeviceId>),
    /// For recovery.
    Recovery,
    /// For every device of the list and for recovery.
    All,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Keys {
    /// The keyring of a device, on a server where its user is signed in.
    ///
    /// # Errors
    /// The device's file holds something else.
    pub fn new(server: Server, file: KeyFile, device: &StoredDevice) -> Result<Self, SyncError> {
        let user = device.user_id.parse();
        Ok(Self {
            server,
            file,
            user: user.map_err(|_| SyncError::Device("its user is no id".to_owned()))?,
            device: device.device.device_id,
            secret: device
                .key()
                .map_err(|error| SyncError::Device(error.to_string()))?,
        })
    }

    /// The local copy's file.
    pub const fn file(&self) -> &KeyFile {
        &self.file
    }

    /// The server.
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// This device.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Its account.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Its key.
    pub const fn secret(&self) -> &BoxSecretKey {
        &self.secret
    }

    /// The local copy.
    ///
    /// # Errors
    /// [`SyncError::NotLinked`] where there is none.
    pub fn local(&self) -> Result<LocalCopy, SyncError> {
        let copy = self.file.load()?.ok_or(SyncError::NotLinked)?;
        if copy.keyring.user != self.user {
            return Err(SyncError::OtherAccount(self.file.path().to_owned()));
        }
        Ok(copy)
    }

    /// Begins the account's keyring with this device in it, if the server has none. A device that
    /// has a copy which opens the server's joins the list.
    ///
    /// # Errors
    /// [`SyncError::NotLinked`]: the account has a keyring that this device cannot open.
    pub async fn begin_or_join(&self, itself: &TrustedDevice) -> Result<(), SyncError> {
        if self.file.load()?.is_none() {
            if self.server.keyring().await?.is_some() {
                return Err(SyncError::NotLinked);
            }
            // On disk before it is put: a crash between the two loses nothing.
            self.file.change(|copy| {
                let copy = copy.get_or_insert_with(|| LocalCopy::new(self.user));
                copy.keyring.put_device(itself, now_ms());
            })?;
        }
        self.sync().await?;
        if self.local()?.keyring.trusts(&itself.key) {
            return Ok(());
        }
        self.replace(|copy| {
            copy.keyring.let_in(itself, now_ms())?;
            Ok(Wraps::Devices(vec![itself.id]))
        })
        .await?;
        Ok(())
    }

    /// Takes the server's changes, and puts this device's. Whether the local copy changed.
    ///
    /// # Errors
    /// See [`SyncError`]; the local copy stays what it was unless a keyring was taken.
    pub async fn sync(&self) -> Result<bool, SyncError> {
        let before = self.local()?;
        let mut tries = 0;
        loop {
            let (copy, etag, differs) = self.taken().await?;
            if !differs {
                return Ok(copy.keyring != before.keyring);
            }
            let mut next = copy.clone();
            next.keyring.generation += 1;
            let sealed = next.keyring.seal(&next.key, random())?;
            match self.server.put_keyring(sealed, etag.as_deref()).await {
                Ok(()) => {
                    let kept = self.keep(next)?;
                    return Ok(kept.keyring != before.keyring);
                }
                Err(error) => lost_race(error, &mut tries).await?,
            }
        }
    }

    /// Changes the keyring here, and then on the server.
    ///
    /// # Errors
    /// [`SyncError`]; after any but [`SyncError::State`] and [`SyncError::NotLinked`] the change is
    /// kept here and goes with the next sync.
    pub async fn change(&self, change: impl FnOnce(&mut Keyring, u64)) -> Result<(), SyncError> {
        let there = self.file.change(|copy| {
            if let Some(copy) = copy {
                change(&mut copy.keyring, now_ms());
            }
            copy.is_some()
        })?;
        if !there {
            return Err(SyncError::NotLinked);
        }
        self.sync().await.map(|_| ())
    }

    /// Puts the new device of a request into the keyring with a wrap for it; gives what to answer.
    ///
    /// # Errors
    /// See [`SyncError`].
    pub async fn admit(&self, request: &Request) -> Result<Answer, SyncError> {
        let device = TrustedDevice {
            id: request.device,
            key: request.key.clone(),
            name: request.name.clone(),
            kind: request.kind.clone(),
        };
        let copy = self
            .replace(|copy| {
                copy.keyring.let_in(&device, now_ms())?;
                Ok(Wraps::Devices(vec![device.id]))
            })
            .await?;
        Ok(Answer {
            user: self.user,
            device: self.device,
            key: self.secret.public(),
            recipient: device.key,
            epoch: copy.keyring.epoch,
            generation: copy.keyring.generation,
        })
    }

    /// Takes the keyring that a linked device answered with.
    ///
    /// # Errors
    /// See [`SyncError`]; nothing is kept then.
    pub async fn take_linked(&self, request: &Request, answer: &Answer) -> Result<(), SyncError> {
        let wrap = self.server.wrap(&self.device.to_string()).await?;
        let served = self.server.keyring().await?;
        let (Some(wrap), Some(served)) = (wrap, served) else {
            return Err(SyncError::Vanished(answer.generation));
        };
        let taken = judge::take_linked(request, &self.secret, answer, &wrap, &served.sealed)?;
        self.take_over(taken)
    }

    /// Takes the keyring with the recovery phrase, and adds this device to it.
    ///
    /// # Errors
    /// See [`SyncError`]; nothing is kept then, unless the server failed after the phrase was good.
    pub async fn recover(&self, phrase: &Phrase, itself: &TrustedDevice) -> Result<(), SyncError> {
        let wrap = self.server.wrap(server::RECOVERY).await?;
        let wrap = wrap.ok_or(SyncError::NoRecovery)?;
        let served = self.server.keyring().await?;
        let served = served.ok_or(SyncError::NoRecovery)?;
        let taken = judge::take_recovered(phrase, self.user, &wrap, &served.sealed)?;
        self.take_over(taken)?;
        self.replace(|copy| {
            copy.keyring.let_in(itself, now_ms())?;
            Ok(Wraps::Devices(vec![itself.id]))
        })
        .await?;
        Ok(())
    }

    /// Keeps a keyring that came another way than with the local copy's key. A copy that is here
    /// already may have what nobody else has; an older one than it is refused all the same.
    fn take_over(&self, (keyring, key): (Keyring, KeyringKey)) -> Result<(), SyncError> {
        if let Some(copy) = self.file.load()?
            && copy.keyring.user == keyring.user
            && copy.keyring.generation > keyring.generation
        {
            return Err(SyncError::Refused(Refused::Older {
                ours: copy.keyring.generation,
                theirs: keyring.generation,
            }));
        }
        self.file.change(|copy| {
            let taken = LocalCopy { key, keyring };
            *copy = Some(match copy.take() {
                Some(there) if there.keyring.user == taken.keyring.user => {
                    there.merged(taken, now_ms())
                }
                _ => taken,
            });
        })?;
        Ok(())
    }

    /// The server's keyring, judged and merged into the local copy; its `ETag`; and whether the copy
    /// says anything that the server's does not.
    async fn taken(&self) -> Result<(LocalCopy, Option<String>, bool), SyncError> {
        let local = self.local()?;
        let unput = local.keyring.generation == 0;
        let Some(served) = self.server.keyring().await? else {
            return match unput {
                true => Ok((local, None, true)),
                false => Err(SyncError::Vanished(local.keyring.generation)),
            };
        };
        let judged = self.judged(&local, &served.sealed).await;
        if unput && matches!(judged, Err(SyncError::Refused(_))) {
            // Another device began the account's keyring first.
            self.file.discard_unput()?;
            return Err(SyncError::NotLinked);
        }
        let (remote, key) = judged?;
        let copy = self.keep(LocalCopy {
            key,
            keyring: remote.clone(),
        })?;
        let differs = !same_contents(&copy.keyring, &remote);
        Ok((copy, Some(served.etag), differs))
    }

    /// With the local key, and if that does not open it with the one that the server has wrapped for
    /// this device.
    async fn judged(
        &self,
        local: &LocalCopy,
        sealed: &[u8],
    ) -> Result<(Keyring, KeyringKey), SyncError> {
        let take = |wrap: Option<&[u8]>| {
            judge::take(&local.keyring, &local.key, &self.secret, sealed, wrap)
        };
        match take(None) {
            Err(Refused::Keyring(KeyringProblem::NotOpening)) => {
                let wrap = self.server.wrap(&self.device.to_string()).await?;
                Ok(take(wrap.as_deref())?)
            }
            judged => Ok(judged?),
        }
    }

    /// Merges what is newer into the copy, which other programs of this device may have changed
    /// meanwhile.
    fn keep(&self, copy: LocalCopy) -> Result<LocalCopy, SyncError> {
        Ok(self.file.change(|there| {
            let kept = match there.take() {
                Some(there) => there.merged(copy, now_ms()),
                None => copy,
            };
            there.insert(kept).clone()
        })?)
    }
}

/// Waits after a lost race; any other failure, and one race too many, is the end.
async fn lost_race(error: ServerError, tries: &mut u32) -> Result<(), SyncError> {
    if error.status() != Some(412) {
        return Err(error.into());
    }
    *tries += 1;
    if *tries == TRIES_MAX {
        return Err(SyncError::Busy);
    }
    let share = f64::from(random_u32()) / f64::from(u32::MAX);
    tokio::time::sleep((PAUSE * *tries).mul_f64(share)).await;
    Ok(())
}

#[cfg(test)]
mod tests;
