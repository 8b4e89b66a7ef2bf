//! Packets and frames as bytes, for both versions, and what is refused.

#![allow(clippy::unwrap_used)]

mod arbitrary;
mod client;
mod frames;
mod refused;
mod server;

use super::*;
use bytes::BytesMut;

const MAX: u32 = 64 * 1024;
const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::V311, ProtocolVersion::V5];

/// A packet of this first byte with its length.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// Text or bytes behind their length.
pub(crate) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

/// Properties with their length, below 128; none at all in 3.1.1.
fn properties(version: ProtocolVersion, properties: &[u8]) -> Vec<u8> {
    match version {
        ProtocolVersion::V311 => Vec::new(),
        ProtocolVersion::V5 => {
            assert!(properties.len() < 128);
            [&[properties.len() as u8], properties].concat()
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn decoded(
    bytes: &[u8],
    version: Option<ProtocolVersion>,
) -> Result<Option<ClientPacket>, WireError> {
    decode(&mut BytesMut::from(bytes), version, MAX)
}

/// Decodes what must be one good packet, and nothing until all of it is there.
fn taken(bytes: &[u8], version: Option<ProtocolVersion>) -> ClientPacket {
    for cut in 0..bytes.len() {
        assert_eq!(decoded(&bytes[..cut], version), Ok(None), "{bytes:x?}");
    }
    let mut buf = BytesMut::from([bytes, b"next"].concat().as_slice());
    let packet = decode(&mut buf, version, MAX)
        .unwrap_or_else(|error| panic!("{bytes:x?} {version:?}: {error}"));
    assert_eq!(&buf[..], b"next");
    packet.expect("a whole packet")
}

fn refused(bytes: &[u8], version: Option<ProtocolVersion>, reason: ReasonCode) {
    match decoded(bytes, version) {
        Ok(packet) => panic!("{bytes:x?} {version:?} gave {packet:?}"),
        Err(error) => assert_eq!(error.reason(), reason, "{bytes:x?} {version:?}: {error}"),
    }
}
