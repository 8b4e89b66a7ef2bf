//! Packets that break a rule, and the reason given for it.

use super::*;
use ProtocolVersion::{V5, V311};
use ReasonCode::{
    ClientIdentifierNotValid, MalformedPacket, ProtocolError, UnsupportedProtocolVersion,
};

#[test]
fn first_bytes_are_judged_before_their_length() {
    let check = |first, version, reason| refused(&[first], version, reason);
    for first in [0x00, 0x20, 0x30, 0xc0, 0xe0, 0xf0] {
        check(first, None, ProtocolError);
    }
    for first in 0x11..0x20 {
        check(first, None, MalformedPacket);
    }
    for version in [Some(V311), Some(V5)] {
        for first in [0x10, 0x20, 0x90, 0xb0, 0xd0] {
            check(first, version, ProtocolError);
        }
        for kind in [0x40, 0x50, 0xc0, 0xe0] {
            for flags in 1..16 {
                check(kind | flags, version, MalformedPacket);
            }
        }
        for kind in [0x60, 0x80, 0xa0] {
            for flags in (0..16).filter(|flags| *flags != 2) {
                check(kind | flags, version, MalformedPacket);
            }
        }
        // QoS 3, and DUP with QoS 0.
        for first in [0x36, 0x37, 0x3e, 0x3f, 0x38, 0x39, 0x00, 0x0f] {
            check(first, version, MalformedPacket);
        }
    }
    check(0xf0, Some(V311), MalformedPacket);
    check(0xf1, Some(V5), MalformedPacket);
}

#[test]
fn lengths_are_judged_before_their_bytes_are_there() {
    for version in BOTH.map(Some) {
        refused(b"\x30\xff\xff\xff\xff", version, MalformedPacket);
        refused(b"\x30\x80\x80\x80\x80\x01", version, MalformedPacket);
        refused(b"\x30\xff\xff\xff\x7f", version, ReasonCode::PacketTooLarge);
        refused(b"\xc0\x01", version, MalformedPacket);
        for first in [0x30, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2] {
            refused(&[first, 1], version, MalformedPacket);
        }
    }
    refused(b"\x10\x0b", None, MalformedPacket);
    refused(b"\x40\x03", Some(V311), MalformedPacket);
    refused(b"\xe0\x01", Some(V311), MalformedPacket);
    // The largest that is taken, and one more.
    let header = |length: u32| {
        [
            0x30,
            0x80 | (length % 128) as u8,
            0x80 | (length / 128 % 128) as u8,
            (length >> 14) as u8,
        ]
    };
    assert_eq!(decoded(&header(MAX - 4), Some(V5)), Ok(None));
    refused(&header(MAX - 3), Some(V5), ReasonCode::PacketTooLarge);
}

#[test]
fn connect() {
    let check = |body: &[u8], reason| refused(&packet(0x10, body), None, reason);
    check(b"\0\x04MQTX\x04\x02\0\0\0\0", ProtocolError);
    check(b"\0\x04mqtt\x04\x02\0\0\0\0", ProtocolError);
    check(b"\0\x06MQIsdp\x03\x02\0\0\0\0", UnsupportedProtocolVersion);
    for level in [0, 3, 6, 0x84, 0xff] {
        let body = [b"\0\x04MQTT", [level].as_slice(), b"\x02\0\0\0\0"].concat();
        check(&body, UnsupportedProtocolVersion);
    }
    check(b"\0\x04MQTT\x04\0\0\0\0\0", ClientIdentifierNotValid);
    check(b"\0\x04MQTT\x04\x42\0\0\0\x01c\0\x01p", MalformedPacket);
    for version in BOTH {
        let level = [if version == V5 { 5 } else { 4 }];
        let check = |flags: u8, rest: &[u8], reason| {
            let body = [
                b"\0\x04MQTT".as_slice(),
                &level,
                &[flags],
                b"\0\0",
                &properties(version, b""),
                &text("c"),
                rest,
            ];
            check(&body.concat(), reason);
        };
        // The reserved bit, will flags without a will, will QoS 3.
        for flags in [0x03, 0x22, 0x0a, 0x12, 0x1a] {
            check(flags, b"", MalformedPacket);
        }
        check(0x1e, b"\0\0\x01w\0\0", MalformedPacket);
        // Ends too early, or too late.
        for flags in [0x06, 0x82, 0xc2] {
            check(flags, b"", MalformedPacket);
        }
        check(0x02, b"x", MalformedPacket);
        check(0x82, b"\0\x02u", MalformedPacket);
        let none = properties(version, b"");
        for topic in ["", "+", "a/#", "a+"] {
            let will = [none.as_slice(), &text(topic), b"\0\0"].concat();
            check(0x06, &will, MalformedPacket);
        }
    }
}

#[test]
fn texts() {
    let check = |bytes: &[u8]| {
        let length = (bytes.len() as u16).to_be_bytes();
        for version in BOTH {
            let body = [length.as_slice(), bytes, &properties(version, b"")].concat();
            refused(&packet(0x30, &body), Some(version), MalformedPacket);
        }
        let body = [b"\0\x04MQTT\x04\x02\0\0".as_slice(), &length, bytes].concat();
        refused(&packet(0x10, &body), None, MalformedPacket);
    };
    check(b"a\0");
    check(b"a\x01");
    check(b"a\x1f");
    check(b"a\x7f");
    check("a\u{80}".as_bytes());
    check("a\u{9f}".as_bytes());
    check("\u{fdd0}".as_bytes());
    check("\u{ffff}".as_bytes());
    check("\u{10fffe}".as_bytes());
    // A surrogate, an overlong encoding, beyond Unicode, cut off, a lone continuation.
    check(b"\xed\xa0\x80");
    check(b"\xc0\x80");
    check(b"\xf4\x90\x80\x80");
    check(b"\xe2\x82");
    check(b"\x80");
}

/// A property, whose value is good, in hexadecimal order of its identifier.
const PROPERTIES: &[&[u8]] = &[
    b"\x01\x01",
    b"\x02\0\0\0\x01",
    b"\x03\0\x01t",
    b"\x08\0\x01t",
    b"\x09\0\x01d",
    b"\x0b\x01",
    b"\x11\0\0\0\x01",
    b"\x12\0\x01c",
    b"\x13\0\x01",
    b"\x15\0\x01m",
    b"\x16\0\x01d",
    b"\x17\x01",
    b"\x18\0\0\0\x01",
    b"\x19\x01",
    b"\x1a\0\x01r",
    b"\x1c\0\x01s",
    b"\x1f\0\x01r",
    b"\x21\0\x01",
    b"\x22\0\x01",
    b"\x23\0\x01",
    b"\x24\x01",
    b"\x25\x01",
    b"\x26\0\x01k\0\x01v",
    b"\x27\0\0\0\x01",
    b"\x28\x01",
    b"\x29\x01",
    b"\x2a\x01",
];

/// A packet with these properties, which is good with none.
type With = fn(&[u8]) -> Vec<u8>;

/// The packets that have properties, and which they may have (MQTT 5.0 table 2-4).
const PLACES: &[(&str, With, &[u8])] = &[
    (
        "CONNECT",
        |properties| {
            let body = [b"\0\x04MQTT\x05\x02\0\0", properties, b"\0\x01c"];
            packet(0x10, &body.concat())
        },
        b"\x11\x15\x17\x19\x21\x22\x26\x27",
    ),
    (
        "will",
        |properties| {
            let body = [
                b"\0\x04MQTT\x05\x06\0\0\0\0\x01c",
                properties,
                b"\0\x01w\0\0",
            ];
            packet(0x10, &body.concat())
        },
        b"\x01\x02\x03\x08\x09\x18\x26",
    ),
    (
        "PUBLISH",
        |properties| packet(0x30, &[b"\0\x01t", properties].concat()),
        b"\x01\x02\x03\x08\x09\x23\x26",
    ),
    (
        "PUBACK",
        |properties| packet(0x40, &[b"\0\x01\0", properties].concat()),
        b"\x1f\x26",
    ),
    (
        "PUBREC",
        |properties| packet(0x50, &[b"\0\x01\0", properties].concat()),
        b"\x1f\x26",
    ),
    (
        "PUBREL",
        |properties| packet(0x62, &[b"\0\x01\0", properties].concat()),
        b"\x1f\x26",
    ),
    (
        "PUBCOMP",
        |properties| packet(0x70, &[b"\0\x01\0", properties].concat()),
        b"\x1f\x26",
    ),
    (
        "SUBSCRIBE",
        |properties| packet(0x82, &[b"\0\x01", properties, b"\0\x01t\x01"].concat()),
        b"\x0b\x26",
    ),
    (
        "UNSUBSCRIBE",
        |properties| packet(0xa2, &[b"\0\x01", properties, b"\0\x01t"].concat()),
        b"\x26",
    ),
    (
        "DISCONNECT",
        |properties| packet(0xe0, &[b"\0", properties].concat()),
        b"\x11\x1f\x26",
    ),
];

fn version_of(place: &str) -> Option<ProtocolVersion> {
    (place != "CONNECT" && place != "will").then_some(V5)
}

#[test]
fn each_packet_has_only_its_own_properties_and_only_once() {
    for (place, with, allowed) in PLACES {
        let version = version_of(place);
        for property in PROPERTIES {
            let one = with(&properties(V5, property));
            let two = with(&properties(V5, &property.repeat(2)));
            let identifier = property[0];
            if allowed.contains(&identifier) {
                taken(&one, version);
                match identifier {
                    0x26 => drop(taken(&two, version)),
                    _ => refused(&two, version, ProtocolError),
                }
            } else if (*place, identifier) == ("PUBLISH", 0x0b) {
                // [MQTT-3.3.4-6]
                refused(&one, version, ProtocolError);
            } else if (*place, identifier) == ("CONNECT", 0x16) {
                // Authentication Data needs its method.
                refused(&one, version, ProtocolError);
            } else {
                refused(&one, version, MalformedPacket);
            }
        }
        // Unknown, too long for one byte, cut off, longer than the packet.
        for bad in [
            b"\x01\0".as_slice(),
            b"\x01\x2b",
            b"\x01\x7f",
            b"\x02\xa6\0",
            b"\x01\x26",
            b"\x03\x26\0\x05",
            b"\x7f",
        ] {
            refused(&with(bad), version, MalformedPacket);
        }
    }
}

#[test]
fn property_values_stay_in_their_range() {
    let check = |place: &str, property: &[u8], reason| {
        let (_, with, _) = PLACES.iter().find(|(name, ..)| *name == place).unwrap();
        refused(&with(&properties(V5, property)), version_of(place), reason);
    };
    check("CONNECT", b"\x21\0\0", ProtocolError);
    check("CONNECT", b"\x27\0\0\0\0", ProtocolError);
    check("CONNECT", b"\x17\x02", ProtocolError);
    check("CONNECT", b"\x19\xff", ProtocolError);
    check("will", b"\x01\x02", ProtocolError);
    check("PUBLISH", b"\x01\x02", ProtocolError);
    check("PUBLISH", b"\x23\0\0", ProtocolError);
    for topic in ["", "+", "a/#"] {
        let property = [b"\x08", text(topic).as_slice()].concat();
        check("PUBLISH", &property, ProtocolError);
        check("will", &property, ProtocolError);
    }
    check("SUBSCRIBE", b"\x0b\0", ProtocolError);
    check("SUBSCRIBE", b"\x0b\x81\0", MalformedPacket);
    check("SUBSCRIBE", b"\x0b\xff\xff\xff\xff", MalformedPacket);
    check("PUBLISH", b"\x03\0\x01\0", MalformedPacket);
    check("PUBLISH", b"\x26\0\x01k\0\x01\0", MalformedPacket);
    check("PUBACK", b"\x1f\0\x01\xff", MalformedPacket);
}

#[test]
fn publish() {
    let check =
        |version, first, body: &[u8], reason| refused(&packet(first, body), Some(version), reason);
    for version in BOTH {
        let none = properties(version, b"");
        for topic in ["+", "#", "a/+", "a/b#"] {
            check(
                version,
                0x30,
                &[text(topic), none.clone()].concat(),
                MalformedPacket,
            );
        }
        check(version, 0x30, b"\0\x05t", MalformedPacket);
        check(version, 0x32, b"\0\x01t\0", MalformedPacket);
        for first in [0x32, 0x34] {
            check(
                version,
                first,
                &[b"\0\x01t\0\0", none.as_slice()].concat(),
                ProtocolError,
            );
        }
    }
    check(V311, 0x30, b"\0\0", MalformedPacket);
    check(V5, 0x30, b"\0\0\0", ProtocolError);
    check(V5, 0x30, b"\0\x01t", MalformedPacket);
}

#[test]
fn acknowledgements() {
    let good: [(u8, &[u8]); 4] = [
        (0x40, b"\x00\x10\x80\x83\x87\x90\x91\x97\x99"),
        (0x50, b"\x00\x10\x80\x83\x87\x90\x91\x97\x99"),
        (0x62, b"\x00\x92"),
        (0x70, b"\x00\x92"),
    ];
    for (first, good) in good {
        for version in BOTH.map(Some) {
            refused(&[first, 2, 0, 0], version, ProtocolError);
        }
        for reason in 0..=255 {
            let bytes = [first, 3, 0, 1, reason];
            if good.contains(&reason) {
                taken(&bytes, Some(V5));
            } else {
                refused(&bytes, Some(V5), ProtocolError);
            }
        }
        refused(&[first, 5, 0, 1, 0, 0, 0], Some(V5), MalformedPacket);
    }
}

#[test]
fn subscribe_and_unsubscribe() {
    for version in BOTH {
        let none = properties(version, b"");
        let check = |first, id: &[u8], rest: &[u8], reason| {
            refused(
                &packet(first, &[id, &none, rest].concat()),
                Some(version),
                reason,
            );
        };
        for first in [0x82, 0xa2] {
            check(first, b"\0\x01", b"", ProtocolError);
            check(first, b"\0\x01", b"\0", MalformedPacket);
            check(first, b"\0\x01", b"\0\x02t", MalformedPacket);
        }
        check(0x82, b"\0\0", b"\0\x01t\x01", ProtocolError);
        check(0xa2, b"\0\0", b"\0\x01t", ProtocolError);
        check(0x82, b"\0\x01", b"\0\x01t", MalformedPacket);
        for options in [0x03, 0x40, 0x80, 0xc1] {
            check(0x82, b"\0\x01", &[0, 1, b't', options], MalformedPacket);
        }
    }
    for options in [0x04, 0x08, 0x10, 0x20] {
        refused(
            &[0x82, 6, 0, 1, 0, 1, b't', options],
            Some(V311),
            MalformedPacket,
        );
    }
    refused(b"\x82\x07\0\x01\0\0\x01t\x31", Some(V5), ProtocolError);
    let shared = [b"\0\x01\0", text("$share/g/t").as_slice(), b"\x05"].concat();
    refused(&packet(0x82, &shared), Some(V5), ProtocolError);
}

#[test]
fn disconnect_and_auth() {
    let good = b"\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99";
    for reason in 0..=255 {
        let bytes = [0xe0, 1, reason];
        if good.contains(&reason) {
            taken(&bytes, Some(V5));
        } else {
            refused(&bytes, Some(V5), ProtocolError);
        }
    }
    refused(b"\xe0\x03\0\0\0", Some(V5), MalformedPacket);
    refused(b"\xf0\0", Some(V5), ProtocolError);
    refused(b"\xf0\x01\x18", Some(V5), ProtocolError);
    refused(b"\xf0\x02\x18\0", Some(V5), ProtocolError);
    refused(b"\xf0\x06\0\x04\x15\0\x01m", Some(V5), ProtocolError);
    refused(b"\xf0\x04\x18\x02\x17\x01", Some(V5), MalformedPacket);
}
