//! The body of one packet, read from front to back; what is not there is malformed.

use super::WireError;
use super::packet::{ReasonCode, WireStr};
use bytes::{Buf as _, Bytes};
use std::num::NonZeroU16;

/// What is left of a body.
pub(super) struct Reader(Bytes);

const TRUNCATED: WireError = WireError::Malformed("the packet ends too early");

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, WireError> {
        if length > self.0.len() {
            return Err(TRUNCATED);
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.0.try_get_u8().map_err(|_| TRUNCATED)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        self.0.try_get_u16().map_err(|_| TRUNCATED)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.0.try_get_u32().map_err(|_| TRUNCATED)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Protocol("a flag is 0 or 1")),
        }
    }

    /// §1.5.5: at most four bytes, and no more than needed.
    pub(super) fn variable_integer(&mut self) -> Result<u32, WireError> {
        let mut value = 0u32;
        for at in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if at > 0 && byte == 0 {
                    return Err(WireError::Malformed(
                        "an integer in more bytes than it needs",
                    ));
                }
                return Ok(value);
            }
        }
        Err(WireError::Malformed("an integer of more than four bytes"))
    }

    pub(super) fn binary(&mut self) -> Result<Bytes, WireError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(super) fn string(&mut self) -> Result<WireStr, WireError> {
        let bytes = self.binary()?;
        WireStr::new(bytes).ok_or(WireError::Malformed(
            "a text is UTF-8 without control characters",
        ))
    }

    pub(super) fn packet_id(&mut self) -> Result<NonZeroU16, WireError> {
        NonZeroU16::new(self.u16()?).ok_or(WireError::Protocol("a packet identifier is not 0"))
    }

    pub(super) fn reason(&mut self, allowed: &[ReasonCode]) -> Result<ReasonCode, WireError> {
        let reason = ReasonCode::from_u8(self.u8()?).filter(|reason| allowed.contains(reason));
        reason.ok_or(WireError::Protocol(
            "a reason code that this packet cannot have",
        ))
    }
}
