//! What the client keeps on this machine: the session, the device, and the permission keys.
//!
//! Files are for their owner only (0600 in a 0700 folder) and replaced whole: a crash leaves the
//! old file or the new one. A file that cannot be read is never overwritten; the error names it
//! and what to do.

use crate::keys::{
    BoxPublicKey, BoxSecretKey, InvalidKey, PermissionKeys, PushSubscription, StoredPermissionKeys,
};
use crate::server::Device;
use belfry_protocol::id::PermissionId;
use belfry_protocol::site::Origin;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Largest state file that is read, in bytes: 1,000 permissions take a quarter of it.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What went wrong with the local state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither an override nor a home folder.
    #[error("there is no home folder to keep client state in; give --config-dir DIR")]
    NoHome,
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there but cannot be understood. It was left as it is.
    #[error(
        "{} is not a file of this client ({reason}); it was left as it is: repair it, or move it away",
        path.display()
    )]
    Garbage {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// No such permission in the key file.
    #[error("{} has no keys for permission {permission}", path.display())]
    UnknownPermission {
        /// The key file.
        path: PathBuf,
        /// The permission.
        permission: PermissionId,
    },
}

/// The folder of one device's state.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
}

/// A sign-in.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// The server's base URL.
    pub server: String,
    /// The bearer token.
    pub access_token: String,
    /// The user, as the server names them.
    pub user_id: String,
    /// The name that was signed in with.
    pub username: String,
}

/// This device, as the server made it, and its key.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredDevice {
    /// The server that made it.
    pub server: String,
    /// Whose it is.
    pub user_id: String,
    /// Its credentials and topics.
    #[serde(flatten)]
    pub device: Device,
    /// Its X25519 secret key, base64url.
    pub secret_key: String,
}

impl StoredDevice {
    /// The device's key.
    ///
    /// # Errors
    /// The file holds something else.
    pub fn key(&self) -> Result<BoxSecretKey, InvalidKey> {
        BoxSecretKey::parse(&self.secret_key)
    }
}

impl StateDir {
    /// The folder to use: `chosen`, else `$XDG_CONFIG_HOME/belfry`, else `$HOME/.config/belfry`.
    ///
    /// # Errors
    /// [`StateError::NoHome`].
    pub fn find(
        chosen: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, StateError> {
        let absolute = |name: &str| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let path = chosen
            .map(Path::to_owned)
            .or_else(|| absolute("XDG_CONFIG_HOME").map(|base| base.join("belfry")))
            .or_else(|| absolute("HOME").map(|home| home.join(".config").join("belfry")))
            .ok_or(StateError::NoHome)?;
        Ok(Self { path })
    }

    /// The sign-in, if there is one.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn session(&self) -> Result<Option<Session>, StateError> {
        read_json(&self.path.join("session.json"))
    }

    /// Keeps a sign-in.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_session(&self, session: &Session) -> Result<(), StateError> {
        write_json(&self.path.join("session.json"), session)
    }

    /// This device, if it was made.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn device(&self) -> Result<Option<StoredDevice>, StateError> {
        read_json(&self.path.join("device.json"))
    }

    /// Keeps this device.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_device(&self, device: &StoredDevice) -> Result<(), StateError> {
        write_json(&self.path.join("device.json"), device)
    }

    /// The key file to use: `chosen`, which several devices may share, else one in this folder.
    pub fn key_file(&self, chosen: Option<&Path>) -> KeyFile {
        KeyFile {
            path: chosen.map_or_else(|| self.path.join("keys.json"), Path::to_owned),
        }
    }
}

/// The file of permission keys and endpoints.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

/// A permission with what only the user's devices know of it.
#[derive(Debug, Clone)]
pub struct KeptPermission {
    /// The permission.
    pub permission: PermissionId,
    /// The site that was approved.
    pub site: Origin,
    /// Where the site posts. The server shows it once.
    pub endpoint: String,
    /// Its keys.
    pub keys: PermissionKeys,
    /// The site's key, where it is pinned.
    pub site_key: Option<BoxPublicKey>,
}

impl KeptPermission {
    /// What the site is given.
    pub fn subscription(&self) -> PushSubscription {
        PushSubscription {
            endpoint: self.endpoint.clone(),
            expiration_time: None,
            keys: self.keys.public(),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct KeyFileJson {
    version: u32,
    permissions: Vec<PermissionJson>,
}

#[derive(Serialize, Deserialize)]
struct PermissionJson {
    permission_id: PermissionId,
    site: Origin,
    endpoint: String,
    keys: StoredPermissionKeys,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site_key: Option<String>,
}

/// The version that is written and read.
const KEY_FILE_VERSION: u32 = 1;

impl KeyFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All permissions in it; none if there is no such file yet.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn load(&self) -> Result<HashMap<PermissionId, KeptPermission>, StateError> {
        self.read()?
            .permissions
            .iter()
            .map(|stored| {
                let kept = self.parse(stored)?;
                Ok((kept.permission, kept))
            })
            .collect()
    }

    /// One permission of it.
    ///
    /// # Errors
    /// The file cannot be read or understood, or does not have it.
    pub fn get(&self, permission: PermissionId) -> Result<KeptPermission, StateError> {
        self.load()?
            .remove(&permission)
            .ok_or_else(|| StateError::UnknownPermission {
                path: self.path.clone(),
                permission,
            })
    }

    /// Adds a permission. Other processes may add theirs at the same time.
    ///
    /// # Errors
    /// The file cannot be read, understood or written.
    pub fn add(&self, kept: &KeptPermission) -> Result<(), StateError> {
        self.change(|permissions| {
            permissions.retain(|stored| stored.permission_id != kept.permission);
            permissions.push(PermissionJson {
                permission_id: kept.permission,
                site: kept.site.clone(),
                endpoint: kept.endpoint.clone(),
                keys: kept.keys.to_stored(),
                site_key: kept.site_key.as_ref().map(ToString::to_string),
            });
        })
    }

    /// Forgets a permission's keys.
    ///
    /// # Errors
    /// The file cannot be read, understood or written.
    pub fn remove(&self, permission: PermissionId) -> Result<(), StateError> {
        self.change(|permissions| {
            permissions.retain(|stored| stored.permission_id != permission);
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<PermissionJson>)) -> Result<(), StateError> {
        // The lock is on a file of its own: the key file itself is replaced by the change.
        let lock_path = self.path.with_extension("lock");
        let in_lock = |source| StateError::Io {
            path: lock_path.clone(),
            source,
        };
        make_parent(&self.path)?;
        let lock = private_file(&lock_path).map_err(in_lock)?;
        lock.lock().map_err(in_lock)?;
        let mut json = self.read()?;
        change(&mut json.permissions);
        write_json(&self.path, &json)
    }

    fn read(&self) -> Result<KeyFileJson, StateError> {
        let json: KeyFileJson = read_json(&self.path)?.unwrap_or(KeyFileJson {
            version: KEY_FILE_VERSION,
            permissions: Vec::new(),
        });
        if json.version != KEY_FILE_VERSION {
            return Err(self.garbage(format!("its version is {}, not 1", json.version)));
        }
        Ok(json)
    }

    fn parse(&self, stored: &PermissionJson) -> Result<KeptPermission, StateError> {
        let invalid = |error: InvalidKey| {
            self.garbage(format!("permission {}: {error}", stored.permission_id))
        };
        let site_key = stored.site_key.as_deref().map(BoxPublicKey::parse);
        Ok(KeptPermission {
            permission: stored.permission_id,
            site: stored.site.clone(),
            endpoint: stored.endpoint.clone(),
            keys: PermissionKeys::from_stored(&stored.keys).map_err(invalid)?,
            site_key: site_key.transpose().map_err(invalid)?,
        })
    }

    fn garbage(&self, reason: String) -> StateError {
        StateError::Garbage {
            path: self.path.clone(),
            reason,
        }
    }
}

/// Reads a JSON file; `None` if there is none.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let in_file = |source| StateError::Io {
        path: path.to_owned(),
        source,
    };
    let garbage = |reason: String| StateError::Garbage {
        path: path.to_owned(),
        reason,
    };
    let bytes = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(garbage(format!("longer than {FILE_BYTES_MAX} bytes")));
        }
        Ok(_) => fs::read(path).map_err(in_file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(in_file(error)),
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(garbage(error.to_string())),
    }
}

/// Replaces a file by this JSON, for its owner only.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StateError> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("strings and numbers always serialise");
    bytes.push(b'\n');
    let parent = make_parent(path)?;
    let write = || -> io::Result<()> {
        // 0600 from its creation; the name is random, the place is the same file system.
        let mut file = tempfile::NamedTempFile::new_in(&parent)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&parent)?.sync_all()
    };
    write().map_err(|source| StateError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Opens or makes a file for its owner only, whatever is in it.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the folder of a file, for its owner only if it was not there.
fn make_parent(path: &Path) -> Result<PathBuf, StateError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(&parent) {
        Ok(()) => Ok(parent),
        Err(source) => Err(StateError::Io {
            path: parent,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn kept(byte: u8) -> KeptPermission {
        KeptPermission {
            permission: PermissionId::from_bytes([byte; 16]),
            site: "https://news.example".parse().unwrap(),
            endpoint: format!("https://push.example/push/{byte}"),
            keys: PermissionKeys::generate(),
            site_key: (byte % 2 == 1).then(|| BoxSecretKey::generate().public()),
        }
    }

    fn session() -> Session {
        Session {
            server: "https://push.example".into(),
            access_token: "t".into(),
            user_id: "u".into(),
            username: "ada".into(),
        }
    }

    #[test]
    fn the_folder_is_the_chosen_one_or_the_users() {
        let check = |chosen: Option<&str>, set: &[(&str, &str)], expected: Option<&str>| {
            let variable = |name: &str| {
                let found = set.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let found = StateDir::find(chosen.map(Path::new), variable);
            let found = found.map(|state| state.path);
            assert_eq!(found.ok().as_deref(), expected.map(Path::new));
        };
        let home = ("HOME", "/home/ada");
        check(Some("here"), &[home], Some("here"));
        check(None, &[home, ("XDG_CONFIG_HOME", "/c")], Some("/c/belfry"));
        check(
            None,
            &[home, ("XDG_CONFIG_HOME", "")],
            Some("/home/ada/.config/belfry"),
        );
        check(None, &[], None);
    }

    #[test]
    fn files_are_for_their_owner_and_nothing_else_is_left_beside_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a").join("belfry");
        let state = StateDir::find(Some(&folder), |_| None).unwrap();
        assert!(state.session().unwrap().is_none());
        state.save_session(&session()).unwrap();
        state.save_session(&session()).unwrap();
        assert_eq!(state.session().unwrap().unwrap().username, "ada");
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("session.json")), 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn garbage_is_named_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::find(Some(root.path()), |_| None).unwrap();
        let keys = state.key_file(None);
        let check = |name: &str, content: &str, failed: &dyn Fn() -> Option<StateError>| {
            let path = root.path().join(name);
            fs::write(&path, content).unwrap();
            let message = failed().unwrap().to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(message.contains("left as it is"), "{message}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        };
        check("session.json", "{\"server\":", &|| state.session().err());
        check("device.json", "[]", &|| state.device().err());
        check("keys.json", "", &|| keys.load().err());
        check("keys.json", "not json", &|| keys.add(&kept(1)).err());
        let newer = r#"{"version":2,"permissions":[]}"#;
        check("keys.json", newer, &|| keys.add(&kept(1)).err());
        let long = " ".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        check("session.json", &long, &|| state.session().err());
    }

    #[test]
    fn devices_share_one_key_file_without_losing_each_others_keys() {
        let root = tempfile::tempdir().unwrap();
        let shared = root.path().join("shared.json");
        std::thread::scope(|scope| {
            for byte in 0..8 {
                let shared = &shared;
                scope.spawn(move || {
                    let state = StateDir::find(Some(Path::new("unused")), |_| None).unwrap();
                    state.key_file(Some(shared)).add(&kept(byte)).unwrap();
                });
            }
        });
        assert_eq!(mode(&shared), 0o600);
        assert_eq!(mode(&shared.with_extension("lock")), 0o600);
        let file = KeyFile {
            path: shared.clone(),
        };
        let all = file.load().unwrap();
        assert_eq!(all.len(), 8);
        let gone = PermissionId::from_bytes([3; 16]);
        let subscription = all[&gone].subscription();
        assert_eq!(file.get(gone).unwrap().subscription(), subscription);
        assert!(all[&gone].site_key.is_some());
        file.remove(gone).unwrap();
        assert!(matches!(
            file.get(gone),
            Err(StateError::UnknownPermission { .. })
        ));
        assert_eq!(file.load().unwrap().len(), 7);
    }
}
