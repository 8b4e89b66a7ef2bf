//! WebSocket frames.

use super::super::websocket::{
    Control, FrameDecoder, FrameError, accept_key, binary_header, close_frame, pong,
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked client frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = binary_header(payload.len());
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend(MASK);
    let masked = payload
        .iter()
        .enumerate()
        .map(|(at, byte)| byte ^ MASK[at % 4]);
    bytes.extend(masked);
    bytes
}

type Unframed = (Vec<u8>, Vec<Control>, Option<FrameError>);

fn unframed(chunks: &[&[u8]]) -> Unframed {
    let mut decoder = FrameDecoder::new();
    let (mut frames, mut packets) = (BytesMut::new(), BytesMut::new());
    let mut controls = Vec::new();
    for chunk in chunks {
        frames.extend_from_slice(chunk);
        loop {
            match decoder.decode(&mut frames, &mut packets) {
                Ok(Some(control)) => controls.push(control),
                Ok(None) => break,
                Err(error) => return (packets.to_vec(), controls, Some(error)),
            }
        }
        assert!(frames.len() < 140, "{} bytes are kept", frames.len());
    }
    (packets.to_vec(), controls, None)
}

fn ping(payload: &'static [u8]) -> Control {
    Control::Ping(Bytes::from_static(payload))
}

#[test]
fn the_key_is_answered_as_in_rfc_6455_1_3() {
    let accept = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn a_key_is_16_bytes_in_base64() {
    for wrong in [
        &b""[..],
        b"dGhlIHNhbXBsZSBub25jZQ",
        b"dGhlIHNhbXBsZSBub25j",
        b"dGhlIHNhbXBsZSBub25jZSE=",
        b"dGhlIHNhbXBsZSBub25jZQ== ",
        b"dGhlIHNhbXBsZSBub25jZ===",
        b"\xff\xff\xff\xff",
    ] {
        assert_eq!(accept_key(wrong), None, "{}", wrong.escape_ascii());
    }
}

#[test]
fn an_idle_decoder_is_tiny() {
    assert!(size_of::<FrameDecoder>() <= 16);
}

#[test]
fn good_frames() {
    let check = |frames: &[Vec<u8>], packets: &[u8], controls: &[Control]| {
        let expected = (packets.to_vec(), controls.to_vec(), None);
        let bytes = frames.concat();
        assert_eq!(unframed(&[&bytes]), expected);
        let each: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(unframed(&each), expected, "byte by byte");
    };
    check(&[frame(0x82, b"")], b"", &[]);
    for length in [1, 125, 126, 65_535, 65_536, 70_001] {
        let payload: Vec<u8> = (0..length).map(|at: u32| at as u8).collect();
        check(&[frame(0x82, &payload)], &payload, &[]);
    }
    check(&[frame(0x82, b"a"), frame(0x82, b"b")], b"ab", &[]);
    // A message in fragments with control frames between them (§5.4).
    let parts = [
        frame(0x02, b"ab"),
        frame(0x89, b"?"),
        frame(0x00, b""),
        frame(0x8a, b"unasked"),
        frame(0x80, b"cd"),
        frame(0x82, b"e"),
        frame(0x89, b""),
    ];
    check(&parts, b"abcde", &[ping(b"?"), ping(b"")]);
    check(&[frame(0x89, &[7; 125])], b"", &[ping(&[7; 125])]);
    check(&[frame(0x88, b"")], b"", &[Control::Close]);
    for code in [
        1000u16, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 4999,
    ] {
        let payload = [code.to_be_bytes().as_slice(), "wieso é".as_bytes()].concat();
        check(&[frame(0x88, &payload)], b"", &[Control::Close]);
    }
}

#[test]
fn bad_frames() {
    let check = |bytes: &[u8], code| {
        let (packets, _, error) = unframed(&[bytes]);
        let error = error.unwrap_or_else(|| panic!("{bytes:x?} is taken"));
        assert_eq!(error.code(), code, "{bytes:x?}: {error}");
        assert!(packets.len() <= 1, "{bytes:x?}");
    };
    check(&[0x81], 1003);
    check(&[0x01], 1003);
    // Reserved bits and opcodes, fragmented control frames.
    for first in [0xc2, 0xa2, 0x92, 0x83, 0x87, 0x8b, 0x8f, 0x08, 0x09, 0x0a] {
        check(&[first], 1002);
    }
    // Not masked.
    check(&[0x82, 0x01], 1002);
    check(&[0x89, 0x00], 1002);
    // Control frames that are too long.
    for first in [0x88, 0x89, 0x8a] {
        check(&[first, 0xfe], 1002);
        check(&[first, 0xff], 1002);
    }
    // Lengths in more bytes than they need.
    check(&[0x82, 0xfe, 0, 125], 1002);
    check(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 1002);
    // Lengths that no packet has.
    check(&[0x82, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0x05], 1009);
    check(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], 1009);
    assert_eq!(
        unframed(&[&[0x82, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0x04]]).2,
        None
    );
    // Continuations.
    check(&frame(0x80, b"of nothing"), 1002);
    check(&[frame(0x82, b"a"), frame(0x80, b"b")].concat(), 1002);
    check(&[frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002);
    // Closes.
    check(&frame(0x88, &[3]), 1002);
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        check(&frame(0x88, &code.to_be_bytes()), 1002);
    }
    check(&frame(0x88, b"\x03\xe8\xff"), 1007);
}

#[test]
fn what_a_server_frames() {
    assert_eq!(binary_header(0), [0x82, 0]);
    assert_eq!(binary_header(125), [0x82, 125]);
    assert_eq!(binary_header(126), [0x82, 126, 0, 126]);
    assert_eq!(binary_header(65_535), [0x82, 126, 0xff, 0xff]);
    assert_eq!(binary_header(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(pong(b"ab"), b"\x8a\x02ab");
    assert_eq!(close_frame(1000), [0x88, 2, 3, 0xe8]);
}

proptest! {
    #[test]
    fn any_bytes_say_the_same_however_they_are_cut(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        good in any::<bool>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        // Random bytes are hardly ever a frame, so half of them follow one.
        let bytes = if good { [frame(0x02, b"ab"), frame(0x00, &bytes), bytes].concat() } else { bytes };
        let whole = unframed(&[&bytes]);
        let cut = cut.index(bytes.len() + 1);
        prop_assert_eq!(unframed(&[&bytes[..cut], &bytes[cut..]]), whole);
    }

    #[test]
    fn frames_say_the_same_however_they_are_cut(
        payload in proptest::collection::vec(any::<u8>(), 0..70_000),
        at in any::<proptest::sample::Index>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let (one, two) = payload.split_at(at.index(payload.len() + 1));
        let bytes = [frame(0x02, one), frame(0x89, b"hi"), frame(0x80, two)].concat();
        let (one, two) = bytes.split_at(cut.index(bytes.len()));
        let expected = (payload, vec![ping(b"hi")], None);
        prop_assert_eq!(unframed(&[one, two]), expected);
    }
}
