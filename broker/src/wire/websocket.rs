//! WebSocket framing (RFC 6455) for MQTT, from a server's side, without a buffer of its own.
//!
//! MQTT packets are a stream of bytes to it: one may span frames and a frame may hold several
//! ([MQTT-6.0.0-2]). No extension is negotiated, so reserved bits are refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes, BytesMut};
use sha1::{Digest as _, Sha1};

/// Longest payload of a control frame (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// Longest payload of a data frame: the largest MQTT packet there is (MQTT 5.0 §2.1.4). No memory
/// depends on it, since data is handed on as it comes; a packet that is too large is refused there.
const DATA_BYTES_MAX: u64 = 5 + 268_435_455;

/// The close code for a message that is too large to process (RFC 6455 §7.4.1).
pub const TOO_LARGE: u16 = 1009;

/// Bytes of a Sec-WebSocket-Key before base64 (RFC 6455 §4.1).
const KEY_BYTES: usize = 16;

/// The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2); none where the key is
/// not 16 bytes in base64.
pub fn accept_key(key: &[u8]) -> Option<String> {
    STANDARD
        .decode(key)
        .ok()
        .filter(|key| key.len() == KEY_BYTES)?;
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Some(STANDARD.encode(hash.finalize()))
}

/// Why the connection cannot go on, with the close code to tell (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// 1002.
    #[error("a frame that breaks the protocol: {0}")]
    Protocol(&'static str),
    /// 1003: MQTT is binary ([MQTT-6.0.0-1]).
    #[error("a text frame")]
    Text,
    /// 1007: the reason of a close frame.
    #[error("a close reason that is not UTF-8")]
    NotUtf8,
    /// 1009: more than the largest MQTT packet.
    #[error("a frame larger than any MQTT packet")]
    TooLarge,
}

impl FrameError {
    /// The close code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Text => 1003,
            Self::NotUtf8 => 1007,
            Self::TooLarge => TOO_LARGE,
        }
    }
}

/// A control frame to act upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    /// The peer closes.
    Close,
}

/// Where in the stream of frames the next byte belongs.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    /// Payload bytes of the current data frame still to come, with its mask as rotated so far.
    left: u64,
    mask: [u8; 4],
    /// A message has begun whose last frame has not come.
    fragmented: bool,
    /// Frames without a byte of a packet, since they were last counted.
    empty: u16,
}

/// A complete frame header.
struct Header {
    fin: bool,
    opcode: u8,
    length: u64,
    mask: [u8; 4],
    bytes: usize,
}

impl FrameDecoder {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves what is there from `frames` to `packets`, unmasked, up to the next control frame.
    /// `None`: all was used but what is not a whole header or control frame yet, fewer than 140 bytes.
    ///
    /// # Errors
    /// The peer broke the framing.
    pub fn decode(
        &mut self,
        frames: &mut BytesMut,
        packets: &mut BytesMut,
    ) -> Result<Option<Control>, FrameError> {
        loop {
            self.move_payload(frames, packets);
            if self.left > 0 {
                return Ok(None);
            }
            let Some(header) = header(frames)? else {
                return Ok(None);
            };
            match header.opcode {
                0x0 if self.fragmented => self.begin(&header, frames),
                0x2 if !self.fragmented => self.begin(&header, frames),
                0x0 => return Err(FrameError::Protocol("a continuation of nothing")),
                0x2 => return Err(FrameError::Protocol("a message inside a message")),
                _ => {
                    let length = usize::try_from(header.length).unwrap_or(usize::MAX);
                    if frames.len() - header.bytes < length {
                        return Ok(None);
                    }
                    frames.advance(header.bytes);
                    self.empty = self.empty.saturating_add(1);
                    let mut payload = frames.split_to(length);
                    unmask(&mut payload, header.mask);
                    match header.opcode {
                        0x8 => {
                            check_close(&payload)?;
                            return Ok(Some(Control::Close));
                        }
                        0x9 => return Ok(Some(Control::Ping(payload.freeze()))),
                        // A pong that nobody asked for is allowed and means nothing (§5.5.3).
                        _ => {}
                    }
                }
            }
        }
    }

    /// The frames since the last call that held nothing of a packet: control frames and data frames
    /// of no length. They are legal and endless, so whoever reads them must count them.
    pub fn take_empty(&mut self) -> u16 {
        std::mem::take(&mut self.empty)
    }

    fn begin(&mut self, header: &Header, frames: &mut BytesMut) {
        frames.advance(header.bytes);
        self.empty = self.empty.saturating_add(u16::from(header.length == 0));
        self.left = header.length;
        self.mask = header.mask;
        self.fragmented = !header.fin;
    }

    fn move_payload(&mut self, frames: &mut BytesMut, packets: &mut BytesMut) {
        let here = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(frames.len());
        if here == 0 {
            return;
        }
        let mut payload = frames.split_to(here);
        unmask(&mut payload, self.mask);
        self.mask.rotate_left(here % 4);
        self.left -= here as u64;
        packets.extend_from_slice(&payload);
    }
}

/// Reads and checks a header without taking it, once all of it is there. What its first bytes forbid
/// is refused before the rest is waited for.
fn header(frames: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some(&first) = frames.first() else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(FrameError::Protocol("a reserved bit is set"));
    }
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    let control = opcode & 0x8 != 0;
    if !matches!(opcode, 0x0..=0x2 | 0x8..=0xa) {
        return Err(FrameError::Protocol("a reserved opcode"));
    }
    if opcode == 0x1 {
        return Err(FrameError::Text);
    }
    if control && !fin {
        return Err(FrameError::Protocol("a fragmented control frame"));
    }
    let Some(&second) = frames.get(1) else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(FrameError::Protocol("an unmasked frame"));
    }
    let short = second & 0x7f;
    if control && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(FrameError::Protocol(
            "a control frame of more than 125 bytes",
        ));
    }
    let (length, mask_at) = match short {
        126 => {
            let Some(bytes) = frames.get(2..4).and_then(|bytes| bytes.try_into().ok()) else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes(bytes)), 4)
        }
        127 => {
            let Some(bytes) = frames.get(2..10).and_then(|bytes| bytes.try_into().ok()) else {
                return Ok(None);
            };
            (u64::from_be_bytes(bytes), 10)
        }
        short => (u64::from(short), 2),
    };
    let minimal = match short {
        126 => length >= 126,
        127 => length >= 0x1_0000,
        _ => true,
    };
    if !minimal {
        return Err(FrameError::Protocol("a length in more bytes than it needs"));
    }
    if length > DATA_BYTES_MAX {
        return Err(FrameError::TooLarge);
    }
    let mask = frames
        .get(mask_at..mask_at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    Ok(mask.map(|mask| Header {
        fin,
        opcode,
        length,
        mask,
        bytes: mask_at + 4,
    }))
}

/// A close frame is empty or has a code that may be sent and a UTF-8 reason (§5.5.1, §7.4).
fn check_close(payload: &[u8]) -> Result<(), FrameError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Protocol("half a close code"))
        };
    };
    let known = matches!(u16::from_be_bytes(*code), 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !known {
        return Err(FrameError::Protocol("a close code that cannot be sent"));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(()),
        Err(_) => Err(FrameError::NotUtf8),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // Four at a time, which the compiler makes into wide instructions; a cycle it does not.
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// The header of a binary frame with a payload of this length, at most 10 bytes.
pub fn binary_header(length: usize) -> Vec<u8> {
    let mut header = vec![0x82];
    match length {
        0..126 => header.push(length as u8),
        126..0x1_0000 => {
            header.push(126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}

/// The pong that answers a ping.
pub fn pong(ping: &[u8]) -> Vec<u8> {
    let payload = ping.get(..CONTROL_BYTES_MAX).unwrap_or(ping);
    let mut frame = vec![0x8a, payload.len() as u8];
    frame.extend_from_slice(payload);
    frame
}

/// A close frame with a code.
pub const fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}
