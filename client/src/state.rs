//! What the client keeps on this machine: the session, the device, and its copy of the keyring.
//!
//! Files are for their owner only (0600 in a 0700 folder) and replaced whole: a crash leaves the
//! old file or the new one. A file that cannot be read is never overwritten; the error names it
//! and what to do.

mod local_copy;

pub use local_copy::{KeyFile, LocalCopy};

use crate::keyring::TrustedDevice;
use crate::keys::{BoxSecretKey, InvalidKey};
use crate::server::Device;
use belfry_protocol::id::PermissionId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Largest state file that is read, in bytes: twice a keyring of the largest size.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How long after it the end of a connection may be noticed that a command had borrowed.
const BORROWED_LATELY: Duration = Duration::from_secs(60);

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
    /// What it is called.
    #[serde(default)]
    pub name: String,
}

impl StoredDevice {
    /// The device's key.
    ///
    /// # Errors
    /// The file holds something else.
    pub fn key(&self) -> Result<BoxSecretKey, InvalidKey> {
        BoxSecretKey::parse(&self.secret_key)
    }

    /// How the other devices are to know it.
    ///
    /// # Errors
    /// The file holds something else.
    pub fn trusted(&self) -> Result<TrustedDevice, InvalidKey> {
        Ok(TrustedDevice {
            id: self.device.device_id,
            key: self.key()?.public(),
            name: self.name.clone(),
            kind: "cli".to_owned(),
        })
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

    /// The copy of the keyring to use: `chosen`, which several devices may share, else one in this
    /// folder.
    pub fn key_file(&self, chosen: Option<&Path>) -> KeyFile {
        KeyFile::new(chosen.map_or_else(|| self.path.join("keys.json"), Path::to_owned))
    }

    /// Borrows this device's one connection from a program that listens, until the file is dropped:
    /// that program then knows why the server closed it, see [`StateDir::connection_is_borrowed`].
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn borrow_connection(&self) -> Result<File, StateError> {
        let path = self.path.join("connection.lock");
        let lock = lock_file(&path)?;
        // Its length tells it from a file that was only asked about.
        let locked = lock
            .lock()
            .and_then(|()| lock.set_len(1))
            .and_then(|()| lock.set_modified(SystemTime::now()));
        locked.map_err(|source| StateError::Io { path, source })?;
        Ok(lock)
    }

    /// Whether a command of this folder has or just had the connection; waits until it is free.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn connection_is_borrowed(&self) -> Result<bool, StateError> {
        let path = self.path.join("connection.lock");
        let lock = lock_file(&path)?;
        let asked = || -> io::Result<bool> {
            let free = lock.try_lock().is_ok();
            if !free {
                lock.lock()?;
            }
            let since = lock.metadata()?.modified()?.elapsed().unwrap_or_default();
            Ok(!free || (lock.metadata()?.len() > 0 && since < BORROWED_LATELY))
        };
        asked().map_err(|source| StateError::Io { path, source })
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
    let bytes = serde_json::to_vec_pretty(value).expect("strings and numbers always serialise");
    write_bytes(path, bytes)
}

fn write_bytes(path: &Path, mut bytes: Vec<u8>) -> Result<(), StateError> {
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

/// Opens a file to lock, and makes its folder if need be.
fn lock_file(path: &Path) -> Result<File, StateError> {
    make_parent(path)?;
    private_file(path).map_err(|source| StateError::Io {
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
        check("keys.json", "not json", &|| keys.change(|_| ()).err());
        let other = r#"{"version":1,"permissions":[]}"#;
        check("keys.json", other, &|| keys.change(|_| ()).err());
        let long = " ".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        check("session.json", &long, &|| state.session().err());
    }
}
