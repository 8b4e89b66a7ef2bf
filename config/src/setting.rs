//! The forms that a value can have, in a file and in a variable alike.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use toml::Value;
use url::Url;

/// A type of value.
pub trait Setting: Sized {
    /// What an error says must be there.
    const WANTED: &'static str;

    /// The same, of the whole value.
    fn wanted() -> String {
        Self::WANTED.to_owned()
    }

    /// Reads a value of a file, or the text of a variable.
    fn read(value: &Value) -> Option<Self>;

    /// As TOML; `None` leaves the key out.
    fn show(&self) -> Option<String>;
}

/// A number of bytes: digits, or with KiB or MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Everyone.
    Open,
    /// Who has an invitation.
    Invite,
    /// Nobody.
    Closed,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            const WANTED: &'static str = "a whole number";

            fn read(value: &Value) -> Option<Self> {
                Self::try_from(number(value)?).ok()
            }

            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, usize);

macro_rules! parsed_texts {
    ($($type:ty, $wanted:literal;)*) => {$(
        impl Setting for $type {
            const WANTED: &'static str = $wanted;

            fn read(value: &Value) -> Option<Self> {
                value.as_str()?.trim().parse().ok()
            }

            fn show(&self) -> Option<String> {
                Some(quoted(&self.to_string()))
            }
        }
    )*};
}

parsed_texts! {
    SocketAddr, "an address with a port, such as 127.0.0.1:8080";
    Url, "a URL";
}

impl Setting for IpNet {
    const WANTED: &'static str = "an address or a range, such as 10.0.0.1 or 10.0.0.0/8";

    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?.trim();
        let one = || text.parse::<IpAddr>().ok().map(Self::from);
        text.parse().ok().or_else(one)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for String {
    const WANTED: &'static str = "a text";

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Setting for PathBuf {
    const WANTED: &'static str = "a path";

    fn read(value: &Value) -> Option<Self> {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(Self::from)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl Setting for Duration {
    const WANTED: &'static str =
        "a time such as \"30s\", \"10m\", \"12h\" or \"7d\", or whole seconds";

    fn read(value: &Value) -> Option<Self> {
        if let Some(seconds) = number(value) {
            return Some(Self::from_secs(seconds));
        }
        let text = value.as_str()?.trim();
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        digits
            .parse::<u64>()
            .ok()?
            .checked_mul(unit)
            .map(Self::from_secs)
    }

    fn show(&self) -> Option<String> {
        let seconds = self.as_secs();
        let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
        let unit = units
            .into_iter()
            .find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
        let (name, unit) = unit.unwrap_or(("s", 1));
        Some(quoted(&format!("{}{name}", seconds / unit)))
    }
}

impl Setting for Bytes {
    const WANTED: &'static str = "a number of bytes, such as 65536, \"64KiB\" or \"4MiB\"";

    fn read(value: &Value) -> Option<Self> {
        if let Some(bytes) = number(value) {
            return Some(Self(bytes));
        }
        let text = value.as_str()?.trim();
        let units = [
            ("KiB", 1024),
            ("MiB", 1024 * 1024),
            ("GiB", 1024 * 1024 * 1024),
        ];
        let (digits, unit) = units
            .into_iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
        digits
            .trim()
            .parse::<u64>()
            .ok()?
            .checked_mul(unit)
            .map(Self)
    }

    fn show(&self) -> Option<String> {
        let units = [("MiB", 1024 * 1024), ("KiB", 1024)];
        let unit = units
            .into_iter()
            .find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        Some(unit.map_or_else(
            || self.0.to_string(),
            |(name, unit)| quoted(&format!("{}{name}", self.0 / unit)),
        ))
    }
}

impl Setting for Registration {
    const WANTED: &'static str = "open, invite or closed";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "open" => Some(Self::Open),
            "invite" => Some(Self::Invite),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        Some(quoted(match self {
            Self::Open => "open",
            Self::Invite => "invite",
            Self::Closed => "closed",
        }))
    }
}

impl Setting for LogFormat {
    const WANTED: &'static str = "text or json";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        Some(quoted(match self {
            Self::Text => "text",
            Self::Json => "json",
        }))
    }
}

impl<T: Setting> Setting for Option<T> {
    const WANTED: &'static str = T::WANTED;

    fn read(value: &Value) -> Option<Self> {
        T::read(value).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const WANTED: &'static str = T::WANTED;

    fn wanted() -> String {
        format!(
            "a list (in a variable, separated by commas), each {}",
            T::WANTED
        )
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(values) => values.iter().map(T::read).collect(),
            Value::String(text) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| T::read(&Value::String(part.to_owned())))
                .collect(),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::show).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}
