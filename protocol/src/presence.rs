//! Whether somebody is at a device.

/// What a device last said of itself on its presence topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// Somebody is using it; also before it ever said anything.
    #[default]
    Active,
    /// Nobody is.
    Away,
}

impl Presence {
    /// Reads the payload of a presence topic.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        match payload {
            b"active" => Some(Self::Active),
            b"away" => Some(Self::Away),
            _ => None,
        }
    }
}
