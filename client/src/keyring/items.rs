//! One item of a keyring: a JSON object with the time of its change, and what it means here.

use crate::keys::{BoxPublicKey, PermissionKeys, PushSubscription, StoredPermissionKeys};
use belfry_protocol::id::{DeviceId, PermissionId};
use belfry_protocol::site::Origin;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// An object of the keyring. One that was read has a whole `changed`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Item(Map<String, Value>);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        if !object.get("changed").is_some_and(Value::is_u64) {
            return Err(D::Error::custom("an item without the time of its change"));
        }
        if object.get("id").is_some_and(|id| !id.is_string()) {
            return Err(D::Error::custom("an item whose id is no text"));
        }
        Ok(Self(object))
    }
}

impl Item {
    /// The item of a list with this id, made if it is not there.
    pub(super) fn in_list<'a>(list: &'a mut Vec<Self>, id: &str) -> &'a mut Self {
        let index = list.iter().position(|item| item.id() == id);
        let index = index.unwrap_or_else(|| {
            let mut item = Self::default();
            item.set("id", id.into());
            list.push(item);
            list.len() - 1
        });
        &mut list[index]
    }

    /// Its id; empty for what is no part of a list.
    pub fn id(&self) -> &str {
        self.text("id").unwrap_or_default()
    }

    /// When it changed, in milliseconds since 1970.
    pub fn changed(&self) -> u64 {
        self.0
            .get("changed")
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }

    /// Whether it is gone.
    pub fn removed(&self) -> bool {
        self.0.get("removed") == Some(&Value::Bool(true))
    }

    /// A field, whatever it is.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// A field that is a text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// Its JSON with sorted keys and no spaces.
    pub(super) fn canonical(&self) -> String {
        super::merge::canonical(&Value::Object(self.0.clone()))
    }

    pub(super) fn set(&mut self, field: &str, value: Value) {
        self.0.insert(field.to_owned(), value);
    }

    fn set_or_clear(&mut self, field: &str, value: Option<Value>) {
        match value {
            Some(value) => self.set(field, value),
            None => {
                self.0.remove(field);
            }
        }
    }

    /// Notes that it changed now: always later than before, whatever the clock says.
    pub(super) fn touch(&mut self, now_ms: u64) {
        let changed = match self.0.get("changed").and_then(Value::as_u64) {
            Some(before) => now_ms.max(before.saturating_add(1)),
            None => now_ms,
        };
        self.set("changed", changed.into());
    }

    pub(super) fn remove(&mut self, now_ms: u64) {
        self.touch(now_ms);
        self.0
            .retain(|field, _| field == "id" || field == "changed");
        self.set("removed", Value::Bool(true));
    }
}

/// A device that the others trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedDevice {
    /// The device.
    pub id: DeviceId,
    /// Its X25519 key.
    pub key: BoxPublicKey,
    /// What it is called.
    pub name: String,
    /// What sort of program it is, as it says itself.
    pub kind: String,
}

impl TrustedDevice {
    pub(super) fn read(item: &Item) -> Option<Self> {
        if item.removed() {
            return None;
        }
        Some(Self {
            id: item.id().parse().ok()?,
            key: BoxPublicKey::parse(item.text("key")?).ok()?,
            name: item.text("name").unwrap_or_default().to_owned(),
            kind: item.text("kind").unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn write(&self, item: &mut Item, now_ms: u64) {
        item.set_or_clear("removed", None);
        item.set("key", self.key.to_string().into());
        item.set("name", self.name.as_str().into());
        item.set("kind", self.kind.as_str().into());
        item.touch(now_ms);
    }
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
    /// What the user calls it.
    pub name: Option<String>,
    /// A device that was removed knew its keys.
    pub renew: bool,
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

    pub(super) fn read(item: &Item) -> Option<Self> {
        if item.removed() {
            return None;
        }
        let stored = StoredPermissionKeys::deserialize(Value::Object(item.0.clone())).ok()?;
        // A pin that cannot be read must not turn into none: then anybody could forge.
        let site_key = match item.get("siteKey") {
            None => None,
            Some(key) => Some(BoxPublicKey::parse(key.as_str()?).ok()?),
        };
        Some(Self {
            permission: item.id().parse().ok()?,
            site: item.text("site")?.parse().ok()?,
            endpoint: item.text("endpoint")?.to_owned(),
            keys: PermissionKeys::from_stored(&stored).ok()?,
            site_key,
            name: item.text("name").map(ToOwned::to_owned),
            renew: item.get("renew") == Some(&Value::Bool(true)),
        })
    }

    pub(super) fn write(&self, item: &mut Item, now_ms: u64) {
        item.set_or_clear("removed", None);
        item.set("site", self.site.as_str().into());
        item.set("endpoint", self.endpoint.as_str().into());
        let keys = serde_json::to_value(self.keys.to_stored()).expect("texts always serialise");
        if let Value::Object(keys) = keys {
            item.0.extend(keys);
        }
        let site_key = self.site_key.as_ref().map(|key| key.to_string().into());
        item.set_or_clear("siteKey", site_key);
        item.set_or_clear("name", self.name.as_deref().map(Value::from));
        item.set_or_clear("renew", self.renew.then_some(Value::Bool(true)));
        item.touch(now_ms);
    }
}
