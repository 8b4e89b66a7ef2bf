//! This device's copy of the keyring: `keys.json`, for its owner only, replaced whole.
//!
//! The copy is what the user's devices agreed on as far as this one knows, with changes of its own
//! that the server may not have yet. Its generation is the last that was seen on the server. It is
//! locked while it changes, never while the network is waited for: what two programs learn at the
//! same time is merged.

use super::{StateError, lock_file, read_json, write_bytes};
use crate::keyring::merge::merge;
use crate::keyring::{KeptPermission, Keyring, KeyringKey};
use belfry_protocol::id::{PermissionId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The version that is written and read.
const VERSION: u32 = 2;

/// The file.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

/// The keyring with what opens it and where the server was.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalCopy {
    /// The keyring key of the keyring's epoch.
    pub key: KeyringKey,
    /// The keyring.
    pub keyring: Keyring,
}

#[derive(Serialize, Deserialize)]
struct FileJson {
    version: u32,
    /// Absent in versions that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyring: Option<Keyring>,
}

impl LocalCopy {
    /// One that no server has: generation 0, with a new key.
    pub fn new(user: UserId) -> Self {
        Self {
            key: KeyringKey::generate(),
            keyring: Keyring::new(user),
        }
    }

    /// What this copy and a newer one of the same device say together.
    #[must_use]
    pub fn merged(self, newer: Self, now_ms: u64) -> Self {
        let key = if self.keyring.epoch > newer.keyring.epoch {
            self.key
        } else {
            newer.key
        };
        Self {
            key,
            keyring: merge(&self.keyring, &newer.keyring, now_ms),
        }
    }
}

impl KeyFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The copy; `None`: this device has no keyring yet.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn load(&self) -> Result<Option<LocalCopy>, StateError> {
        let Some(json) = read_json::<FileJson>(&self.path)? else {
            return Ok(None);
        };
        if json.version != VERSION {
            return Err(self.garbage(format!("its version is {}, not {VERSION}", json.version)));
        }
        let key = json.key.as_deref().and_then(KeyringKey::parse);
        match (key, json.keyring) {
            (Some(key), Some(keyring)) => Ok(Some(LocalCopy { key, keyring })),
            _ => Err(self.garbage("a keyring or its key is missing".to_owned())),
        }
    }

    /// The permissions that this device has keys for.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn permissions(&self) -> Result<HashMap<PermissionId, KeptPermission>, StateError> {
        let copy = self.load()?;
        Ok(copy.map_or_else(HashMap::new, |copy| copy.keyring.permissions()))
    }

    /// One permission.
    ///
    /// # Errors
    /// The file cannot be read or understood, or does not have it.
    pub fn get(&self, permission: PermissionId) -> Result<KeptPermission, StateError> {
        let found = self.permissions()?.remove(&permission);
        found.ok_or_else(|| StateError::UnknownPermission {
            path: self.path.clone(),
            permission,
        })
    }

    /// Changes the copy; other programs wait meanwhile. What is `None` afterwards is left as it was.
    ///
    /// # Errors
    /// The file cannot be read, understood or written.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Option<LocalCopy>) -> T,
    ) -> Result<T, StateError> {
        // The lock is on a file of its own: the copy itself is replaced by the change.
        let lock_path = self.path.with_extension("lock");
        let lock = lock_file(&lock_path)?;
        lock.lock().map_err(|source| StateError::Io {
            path: lock_path,
            source,
        })?;
        let before = self.load()?;
        let mut copy = before.clone();
        let result = change(&mut copy);
        if let Some(after) = copy
            && before.as_ref() != Some(&after)
        {
            let json = FileJson {
                version: VERSION,
                key: Some(after.key.expose()),
                keyring: Some(after.keyring),
            };
            // Not indented, which could make a large one longer than is read back.
            let bytes = serde_json::to_vec(&json).expect("JSON values always serialise");
            write_bytes(&self.path, bytes)?;
        }
        Ok(result)
    }

    /// Takes away a copy that no server has: another device's keyring is the account's.
    ///
    /// # Errors
    /// The file cannot be read, understood or removed.
    pub(crate) fn discard_unput(&self) -> Result<(), StateError> {
        self.change(|copy| match copy {
            Some(copy) if copy.keyring.generation == 0 => std::fs::remove_file(&self.path),
            _ => Ok(()),
        })?
        .map_err(|source| StateError::Io {
            path: self.path.clone(),
            source,
        })
    }

    fn garbage(&self, reason: String) -> StateError {
        StateError::Garbage {
            path: self.path.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::{BoxSecretKey, PermissionKeys};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn kept(byte: u8) -> KeptPermission {
        KeptPermission {
            permission: PermissionId::from_bytes([byte; 16]),
            site: "https://news.example".parse().unwrap(),
            endpoint: format!("https://push.example/push/{byte}"),
            keys: PermissionKeys::generate(),
            site_key: (byte % 2 == 1).then(|| BoxSecretKey::generate().public()),
            name: None,
            renew: false,
        }
    }

    fn add(file: &KeyFile, kept: &KeptPermission) {
        let user = UserId::from_bytes([1; 16]);
        file.change(|copy| {
            let copy = copy.get_or_insert_with(|| LocalCopy::new(user));
            copy.keyring.put_permission(kept, 1);
        })
        .unwrap();
    }

    #[test]
    fn programs_share_one_copy_without_losing_each_others_keys() {
        let root = tempfile::tempdir().unwrap();
        let file = KeyFile::new(root.path().join("shared.json"));
        std::thread::scope(|scope| {
            for byte in 0..8 {
                let file = &file;
                scope.spawn(move || add(file, &kept(byte)));
            }
        });
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(&file.path().with_extension("lock")), 0o600);
        assert_eq!(file.permissions().unwrap().len(), 8);
        let one = PermissionId::from_bytes([3; 16]);
        assert!(file.get(one).unwrap().site_key.is_some());
        file.change(|copy| copy.as_mut().unwrap().keyring.remove_permission(one, 2))
            .unwrap();
        assert!(matches!(
            file.get(one),
            Err(StateError::UnknownPermission { .. })
        ));
        assert_eq!(file.permissions().unwrap().len(), 7);
    }

    #[test]
    fn a_write_that_was_interrupted_leaves_the_copy_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let file = KeyFile::new(root.path().join("keys.json"));
        add(&file, &kept(1));
        let before = file.load().unwrap();
        // What a process leaves that is killed while it writes: half a file beside the copy.
        fs::write(root.path().join(".tmpAbCdEf"), "{\"version\":2,\"key\":\"").unwrap();
        assert_eq!(file.load().unwrap(), before);
        add(&file, &kept(2));
        assert_eq!(file.permissions().unwrap().len(), 2);
    }

    #[test]
    fn only_a_copy_that_no_server_has_is_discarded() {
        let root = tempfile::tempdir().unwrap();
        let file = KeyFile::new(root.path().join("keys.json"));
        add(&file, &kept(1));
        file.change(|copy| copy.as_mut().unwrap().keyring.generation = 1)
            .unwrap();
        file.discard_unput().unwrap();
        assert!(file.load().unwrap().is_some());
        file.change(|copy| copy.as_mut().unwrap().keyring.generation = 0)
            .unwrap();
        file.discard_unput().unwrap();
        assert!(file.load().unwrap().is_none());
    }
}
