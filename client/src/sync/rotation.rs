//! Puts that carry wraps: a keyring key for a new device, a new phrase, or a new key for all.

use super::{Keys, SyncError, Wraps, lost_race, now_ms};
use crate::keyring::KeyringKey;
use crate::keyring::judge::Refused;
use crate::keys::{encode, random};
use crate::recovery::{self, Phrase};
use crate::server::RECOVERY;
use crate::state::LocalCopy;
use crate::wrap::{self, Payload};
use belfry_protocol::id::DeviceId;
use std::collections::BTreeMap;

impl Keys {
    /// Makes a new recovery phrase, which replaces the one before. It is kept nowhere.
    ///
    /// # Errors
    /// See [`SyncError`]; the old phrase holds then.
    pub async fn new_phrase(&self) -> Result<Phrase, SyncError> {
        let phrase = Phrase::generate();
        let (key, proof) = (phrase.key().public(), phrase.proof_key());
        self.replace(|copy| {
            copy.keyring.set_recovery(&key, &proof, now_ms());
            Ok(Wraps::Recovery)
        })
        .await?;
        Ok(phrase)
    }

    /// Marks a device removed and gives those that are left a new keyring key; every permission is
    /// flagged for renewal. The server must have removed the device before.
    ///
    /// # Errors
    /// See [`SyncError`]; the device is trusted still then.
    pub async fn rotate_without(&self, device: DeviceId) -> Result<(), SyncError> {
        self.replace(|copy| {
            copy.keyring.remove_device(device, now_ms());
            copy.keyring.flag_all_for_renewal(now_ms());
            copy.keyring.epoch += 1;
            copy.key = KeyringKey::generate();
            Ok(Wraps::All)
        })
        .await?;
        Ok(())
    }

    /// Puts this device's copy where the server has an older one or none, as after a restore from a
    /// backup. Whether that was needed. Never over a keyring that does not open: it may be newer.
    ///
    /// # Errors
    /// See [`SyncError`].
    pub async fn repair(&self) -> Result<bool, SyncError> {
        match self.sync().await {
            Ok(_) => return Ok(false),
            Err(SyncError::Refused(Refused::Older { .. }) | SyncError::Vanished(_)) => {}
            Err(error) => return Err(error),
        }
        let copy = self.local()?;
        let etag = self.server.keyring().await?.map(|served| served.etag);
        let next = raised(&copy);
        self.put(&next, &Wraps::All, etag.as_deref()).await?;
        self.keep(next)?;
        Ok(true)
    }

    /// Puts what `edit` makes of the newest keyring, with wraps, in one request. The local copy
    /// changes only when the server has it: a new key that was lost on the way is nobody's.
    pub(super) async fn replace(
        &self,
        edit: impl Fn(&mut LocalCopy) -> Result<Wraps, SyncError>,
    ) -> Result<LocalCopy, SyncError> {
        let mut tries = 0;
        loop {
            let (copy, etag, _) = self.taken().await?;
            let mut next = raised(&copy);
            let wraps = edit(&mut next)?;
            match self.put(&next, &wraps, etag.as_deref()).await {
                Ok(()) => return self.keep(next),
                Err(SyncError::Server(error)) => lost_race(error, &mut tries).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn put(
        &self,
        copy: &LocalCopy,
        wraps: &Wraps,
        etag: Option<&str>,
    ) -> Result<(), SyncError> {
        let sealed = copy.keyring.seal(&copy.key, random())?;
        let mut wraps = self.wraps(copy, wraps);
        if wraps.len() > 1 {
            // The server takes no wrap for a device that it does not have, and keeps the whole put.
            // That is all its list is good for: a device that it leaves out has to be linked again.
            let there = self.server.devices().await?;
            let there = |name: &str| there.iter().any(|info| info.device_id.to_string() == name);
            wraps.retain(|recipient, _| recipient == RECOVERY || there(recipient));
        }
        self.server.put_keys(&sealed, &wraps, etag).await?;
        Ok(())
    }

    fn wraps(&self, copy: &LocalCopy, wanted: &Wraps) -> BTreeMap<String, String> {
        let keyring = &copy.keyring;
        let payload = Payload {
            user: self.user,
            epoch: keyring.epoch,
            generation: keyring.generation,
            key: copy.key.clone(),
        };
        let mut wraps = BTreeMap::new();
        for device in keyring.devices() {
            if matches!(wanted, Wraps::All)
                || matches!(wanted, Wraps::Devices(ids) if ids.contains(&device.id))
            {
                let sealed = wrap::seal(&payload, &self.secret, &device.key, random());
                wraps.insert(device.id.to_string(), encode(&sealed));
            }
        }
        if !matches!(wanted, Wraps::Devices(_))
            && let Some((key, proof)) = keyring.recovery()
        {
            let sealed = recovery::seal(&payload, &self.secret, &key, &proof, random());
            wraps.insert(RECOVERY.to_owned(), encode(&sealed));
        }
        wraps
    }
}

fn raised(copy: &LocalCopy) -> LocalCopy {
    let mut next = copy.clone();
    next.keyring.generation += 1;
    next
}
