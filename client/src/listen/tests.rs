//! A listener against a server of a few packets, written out byte by byte (MQTT 5.0 §3).

#![allow(clippy::unwrap_used)]

use super::*;
use crate::keyring::KeptPermission;
use crate::keys::{BoxSecretKey, PermissionKeys, Sealing};
use crate::server::{MqttAccess, Topics};
use crate::state::{LocalCopy, StateDir};
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{DeviceId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const DISCONNECT: u8 = 14;

/// The server's end of one connection.
struct Peer(TcpStream);

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        Self(listener.accept().await.unwrap().0)
    }

    /// The next packet's type and what follows its length.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.0.read_u8().await.unwrap();
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.0.read_exact(&mut rest).await.unwrap();
        (first >> 4, rest)
    }

    async fn expect(&mut self, kind: u8) -> Vec<u8> {
        let (found, rest) = self.packet().await;
        assert_eq!(found, kind, "{rest:?}");
        rest
    }

    async fn write(&mut self, first: u8, rest: &[u8]) {
        let mut packet = vec![first];
        let mut length = rest.len();
        loop {
            let more = if length > 0x7f { 0x80 } else { 0 };
            packet.push(u8::try_from(length & 0x7f).unwrap() | more);
            length >>= 7;
            if length == 0 {
                break;
            }
        }
        packet.extend_from_slice(rest);
        self.0.write_all(&packet).await.unwrap();
    }

    /// CONNECT and CONNACK; returns the CONNECT.
    async fn connected(&mut self, session_present: bool) -> Vec<u8> {
        let connect = self.expect(CONNECT).await;
        self.write(0x20, &[u8::from(session_present), 0, 0]).await;
        connect
    }

    async fn subscribed(&mut self, codes: &[u8]) {
        let subscribe = self.expect(SUBSCRIBE).await;
        let text = String::from_utf8_lossy(&subscribe).into_owned();
        assert!(text.contains("u/user/n/+") && text.contains("u/user/events"));
        let mut suback = subscribe[..2].to_vec();
        suback.push(0);
        suback.extend_from_slice(codes);
        self.write(0x90, &suback).await;
    }

    /// QoS 1 with a packet id, QoS 0 without.
    async fn publish(&mut self, topic: &str, packet_id: Option<u16>, payload: &[u8]) {
        let mut rest = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
        rest.extend_from_slice(topic.as_bytes());
        rest.extend(packet_id.map(u16::to_be_bytes).into_iter().flatten());
        rest.push(0);
        rest.extend_from_slice(payload);
        let qos = u8::from(packet_id.is_some()) << 1;
        self.write(PUBLISH << 4 | qos, &rest).await;
    }

    async fn acknowledged(&mut self) -> u16 {
        let rest = self.expect(PUBACK).await;
        u16::from_be_bytes([rest[0], rest[1]])
    }
}

/// Another program of this device, such as `belfry approve`.
fn keep(keys: &KeyFile, kept: &KeptPermission) {
    keys.change(|copy| {
        let copy = copy.get_or_insert_with(|| LocalCopy::new(UserId::from_bytes([4; 16])));
        copy.keyring.put_permission(kept, 1);
    })
    .unwrap();
}

struct Fixture {
    server: TcpListener,
    _folder: tempfile::TempDir,
    keys: KeyFile,
    options: Options,
    kept: KeptPermission,
}

impl Fixture {
    async fn new() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::find(Some(folder.path()), |_| None).unwrap();
        let keys = state.key_file(None::<&Path>);
        let kept = permission(2, None);
        keep(&keys, &kept);
        let device = Device {
            device_id: DeviceId::from_bytes([3; 16]),
            mqtt: MqttAccess {
                url: "ws://unused".into(),
                tcp: Some(server.local_addr().unwrap().to_string()),
                client_id: "device".into(),
                username: UserId::from_bytes([4; 16]).to_string(),
                password: "secret".into(),
            },
            topics: Topics {
                notifications: "u/user/n/+".into(),
                events: "u/user/events".into(),
                presence: "u/user/d/device/presence".into(),
                seen: "u/user/d/device/seen".into(),
                private: "u/user/x/#".into(),
            },
        };
        let options = Options {
            device,
            keys: keys.clone(),
            sync: None,
            transport: Transport::Tcp,
            tls: crate::tls::client_config(None).unwrap(),
            presence: None,
        };
        Self {
            server,
            _folder: folder,
            keys,
            options,
            kept,
        }
    }

    fn listener(&self) -> Listener {
        Listener::new(self.options.clone()).unwrap()
    }
}

fn permission(byte: u8, site: Option<&BoxSecretKey>) -> KeptPermission {
    KeptPermission {
        permission: PermissionId::from_bytes([byte; 16]),
        site: "https://news.example".parse().unwrap(),
        endpoint: "https://push.example/push/s".into(),
        keys: PermissionKeys::generate(),
        site_key: site.map(BoxSecretKey::public),
        name: None,
        renew: false,
    }
}

fn sealed(kept: &KeptPermission, text: &str, sealing: Sealing<'_>) -> (Vec<u8>, Envelope) {
    let body = kept
        .subscription()
        .encrypt(text.as_bytes(), sealing)
        .unwrap();
    let envelope = Envelope {
        id: NotificationId::from_bytes(crate::keys::random()),
        permission: kept.permission,
        site: kept.site.clone(),
        sent: Timestamp::from_millis(0),
        expires: Timestamp::NEVER,
        urgency: Urgency::Normal,
        collapse: None,
        encoding: sealing.encoding(),
        body: body.into(),
    };
    (envelope.to_json(Some(1)), envelope)
}

fn title(incoming: Incoming) -> String {
    match incoming {
        Incoming::Notification(received) => received.content.title,
        other => panic!("not a notification: {other:?}"),
    }
}

/// Runs the server's script beside the program's.
async fn both<S, P>(server: impl Future<Output = S>, program: impl Future<Output = P>) -> (S, P) {
    let joined = async { tokio::join!(server, program) };
    tokio::time::timeout(Duration::from_secs(20), joined)
        .await
        .expect("neither side waits for ever")
}

#[tokio::test]
async fn a_notification_is_acknowledged_only_when_the_next_is_asked_for() {
    let fixture = Fixture::new().await;
    let mut listener = fixture.listener();
    let (first, _) = sealed(&fixture.kept, "one", Sealing::Aes128gcm);
    let (second, _) = sealed(&fixture.kept, "two", Sealing::Aes128gcm);
    let (taken, looked) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let server = async {
        let mut peer = Peer::accept(&fixture.server).await;
        let connect = peer.connected(false).await;
        // Clean Start 0, user name, password; session expiry (0x11) 30 days.
        assert_eq!(connect[7] & 0b0000_0010, 0);
        assert!(connect.windows(5).any(|w| w == [0x11, 0, 0x27, 0x8d, 0]));
        peer.subscribed(&[1, 0]).await;
        peer.publish("u/user/n/p", Some(11), &first).await;
        peer.publish("u/user/n/p", Some(12), &second).await;
        taken.notified().await;
        // Nothing was acknowledged while the program held the first.
        let mut byte = [0];
        assert!(peer.0.try_read(&mut byte).is_err(), "{byte:?}");
        looked.notify_one();
        assert_eq!(peer.acknowledged().await, 11);
        assert_eq!(peer.acknowledged().await, 12);
        peer.expect(DISCONNECT).await;
    };
    let program = async {
        let connected = listener.next().await.unwrap();
        assert_eq!(connected, Incoming::Connected { resumed: false });
        assert_eq!(title(listener.next().await.unwrap()), "one");
        taken.notify_one();
        looked.notified().await;
        assert_eq!(title(listener.next().await.unwrap()), "two");
        assert_eq!(listener.counts().opened, 2);
        listener.close().await;
    };
    both(server, program).await;
}

#[tokio::test]
async fn a_broken_connection_resumes_and_nothing_is_shown_twice() {
    let fixture = Fixture::new().await;
    let mut listener = fixture.listener();
    let (first, _) = sealed(&fixture.kept, "one", Sealing::Aes128gcm);
    let (second, _) = sealed(&fixture.kept, "two", Sealing::Aes128gcm);
    let taken = tokio::sync::Notify::new();
    let server = async {
        let mut peer = Peer::accept(&fixture.server).await;
        peer.connected(false).await;
        peer.subscribed(&[1, 0]).await;
        peer.publish("u/user/n/p", Some(1), &first).await;
        taken.notified().await;
        drop(peer);
        let mut peer = Peer::accept(&fixture.server).await;
        peer.connected(true).await;
        // Another packet id: the server was restarted.
        peer.publish("u/user/n/p", Some(7), &first).await;
        peer.publish("u/user/n/p", Some(8), &second).await;
        assert_eq!(peer.acknowledged().await, 7);
        assert_eq!(peer.acknowledged().await, 8);
    };
    let program = async {
        listener.next().await.unwrap();
        assert_eq!(title(listener.next().await.unwrap()), "one");
        taken.notify_one();
        let lost = listener.next().await.unwrap();
        assert!(
            matches!(lost, Incoming::Disconnected { retry_in, .. } if retry_in <= Duration::from_millis(500))
        );
        let connected = listener.next().await.unwrap();
        assert_eq!(connected, Incoming::Connected { resumed: true });
        assert_eq!(title(listener.next().await.unwrap()), "two");
        assert_eq!(listener.counts().redelivered, 1);
        // Ends when the server's script has its acknowledgements and hangs up.
        let ended = listener.next().await.unwrap();
        assert!(matches!(ended, Incoming::Disconnected { .. }), "{ended:?}");
    };
    both(server, program).await;
}

#[tokio::test]
async fn a_new_process_takes_up_an_old_session_and_can_still_report() {
    let fixture = Fixture::new().await;
    let mut options = fixture.options.clone();
    options.presence = Some(Presence::Away);
    let mut listener = Listener::new(options).unwrap();
    let id = NotificationId::from_bytes([9; 16]);
    let server = async {
        let mut peer = Peer::accept(&fixture.server).await;
        peer.connected(true).await;
        peer.subscribed(&[1, 0]).await;
        for expected in ["presenceaway".to_owned(), format!(r#"{{"ids":["{id}"]}}"#)] {
            let publish = peer.expect(PUBLISH).await;
            let text = String::from_utf8_lossy(&publish).replace(|c: char| c.is_control(), "");
            assert!(text.ends_with(&expected), "{text}");
            let topic_bytes = usize::from(u16::from_be_bytes([publish[0], publish[1]]));
            let id = &publish[2 + topic_bytes..4 + topic_bytes];
            peer.write(0x40, id).await;
        }
    };
    let program = async {
        let connected = listener.next().await.unwrap();
        assert_eq!(connected, Incoming::Connected { resumed: true });
        listener.seen(&[id]).unwrap();
        let ended = listener.next().await.unwrap();
        assert!(matches!(ended, Incoming::Disconnected { .. }), "{ended:?}");
    };
    both(server, program).await;
}

#[tokio::test]
async fn what_must_not_be_shown_is_counted_and_acknowledged() {
    let fixture = Fixture::new().await;
    let mut listener = fixture.listener();
    let site = BoxSecretKey::generate();
    let pinned = permission(5, Some(&site));
    let (good, envelope) = sealed(&fixture.kept, "good", Sealing::Aes128gcm);
    let again = Envelope {
        id: NotificationId::from_bytes([77; 16]),
        ..envelope
    };
    let (forged, _) = sealed(&pinned, "forged", Sealing::Aes128gcm);
    let (boxed, _) = sealed(&pinned, "boxed", Sealing::CryptoBox(&site));
    let (unknown, _) = sealed(&permission(6, None), "unknown", Sealing::Aes128gcm);
    let (_, envelope) = sealed(&fixture.kept, "of another site", Sealing::Aes128gcm);
    let of_another = Envelope {
        site: "https://other.example".parse().unwrap(),
        ..envelope
    };
    // Approved by another program while this one listens.
    let server = async {
        let mut peer = Peer::accept(&fixture.server).await;
        peer.connected(false).await;
        peer.subscribed(&[1, 0]).await;
        keep(&fixture.keys, &pinned);
        let payloads: [&[u8]; 7] = [
            &good,
            &again.to_json(Some(2)),
            &forged,
            &boxed,
            &unknown,
            &of_another.to_json(Some(3)),
            b"not json",
        ];
        for (packet_id, payload) in (1..).zip(payloads) {
            peer.publish("u/user/n/p", Some(packet_id), payload).await;
        }
        let revoked = Change::PermissionRevoked {
            permission: pinned.permission,
        };
        peer.publish("u/user/events", None, &revoked.to_json())
            .await;
        for expected in 1..=7 {
            assert_eq!(peer.acknowledged().await, expected);
        }
    };
    let program = async {
        listener.next().await.unwrap();
        assert_eq!(title(listener.next().await.unwrap()), "good");
        let hidden = |incoming: Incoming| match incoming {
            Incoming::Hidden { reason, .. } => reason,
            other => panic!("shown: {other:?}"),
        };
        assert_eq!(hidden(listener.next().await.unwrap()), Hidden::Repeated);
        let forged = hidden(listener.next().await.unwrap());
        let reason = crate::keys::Unopened::NotFromPinnedSite;
        assert_eq!(forged, Hidden::Unopened(reason));
        assert_eq!(title(listener.next().await.unwrap()), "boxed");
        assert_eq!(hidden(listener.next().await.unwrap()), Hidden::NoKeys);
        assert_eq!(hidden(listener.next().await.unwrap()), Hidden::OtherSite);
        let changed = listener.next().await.unwrap();
        assert!(matches!(
            changed,
            Incoming::Changed(Change::PermissionRevoked { .. })
        ));
        let expected = Counts {
            opened: 2,
            redelivered: 0,
            hidden: 4,
            malformed: 1,
        };
        assert_eq!(listener.counts(), expected);
        listener.next().await.unwrap();
    };
    both(server, program).await;
}

#[tokio::test]
async fn a_refused_or_replaced_device_does_not_try_again() {
    let fixture = Fixture::new().await;
    let check = async |connack: &[u8], later: &[u8], suback: &[u8]| {
        let mut listener = fixture.listener();
        let server = async {
            let mut peer = Peer::accept(&fixture.server).await;
            peer.expect(CONNECT).await;
            peer.write(0x20, connack).await;
            if connack[1] == 0 {
                peer.subscribed(suback).await;
            }
            if !later.is_empty() {
                peer.write(0xe0, later).await;
            }
            peer // Stays connected until the listener has given up.
        };
        let program = async {
            loop {
                match listener.next().await {
                    Ok(Incoming::Connected { .. }) => {}
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        both(server, program).await.1
    };
    let refused = check(&[0, 0x86, 0], &[], &[]).await;
    assert!(refused.contains("BadUserNamePassword"), "{refused}");
    let refused = check(&[0, 0, 0], &[], &[0x87, 0]).await;
    assert!(refused.contains("NotAuthorized"), "{refused}");
    let replaced = check(&[0, 0, 0], &[0x8e, 0], &[1, 0]).await;
    assert!(replaced.contains("another program"), "{replaced}");
}
