//! The grammar of topic names and filters (§4.7); which of them there are is not known here.

use super::WireError;
use super::packet::ProtocolVersion;

// Not 0x8f and 0x90: those are for what is well-formed and not accepted (MQTT 5.0 §2.4).
const NAME: WireError = WireError::Malformed("a topic name has characters and no wildcard");
const FILTER: WireError = WireError::Malformed("a topic filter breaks its grammar");

/// What a shared subscription starts with (MQTT 5.0 §4.8.2).
const SHARED: &str = "$share/";

/// A topic name has at least one character and no wildcard ([MQTT-3.3.2-2], [MQTT-4.7.3-1]).
pub(super) fn check_name(topic: &str) -> Result<(), WireError> {
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(NAME);
    }
    Ok(())
}

/// A filter has at least one character, and wildcards only as whole levels, `#` only as the last
/// (§4.7.1). A shared one has a name, which holds no wildcard, and a filter of its own
/// ([MQTT-4.8.2-1], [MQTT-4.8.2-2]); 3.1.1 knows none.
pub(super) fn check_filter(filter: &str, version: ProtocolVersion) -> Result<(), WireError> {
    let filter = match filter.strip_prefix(SHARED) {
        Some(shared) if version == ProtocolVersion::V5 => match shared.split_once('/') {
            Some((name, filter)) if !name.is_empty() && !name.contains(['+', '#']) => filter,
            _ => return Err(FILTER),
        },
        _ => filter,
    };
    let mut levels = filter.split('/').peekable();
    let mut fits = !filter.is_empty();
    while let Some(level) = levels.next() {
        fits &= match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !level.contains(['+', '#']),
        };
    }
    if fits { Ok(()) } else { Err(FILTER) }
}

/// The filter inside a shared subscription.
pub(super) fn shared(filter: &str) -> Option<&str> {
    let (_share, filter) = filter.strip_prefix(SHARED)?.split_once('/')?;
    Some(filter)
}
