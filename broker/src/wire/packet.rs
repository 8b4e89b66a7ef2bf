//! The packets of MQTT 3.1.1 and 5.0 as a server sees them.
//!
//! What came from a client refers to the bytes it came in; nothing is copied until it is kept.

use bytes::Bytes;
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProtocolVersion {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// A UTF-8 Encoded String (MQTT 5.0 §1.5.4): valid UTF-8 without U+0000.
///
/// Both specifications leave it to the receiver whether control characters (U+0001 to U+001F,
/// U+007F to U+009F) and non-characters are taken. They are not: they hide in logs, and Mosquitto
/// refuses them too, so no client can count on them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct WireStr(Bytes);

impl WireStr {
    /// Checks the bytes of a string.
    pub fn new(bytes: Bytes) -> Option<Self> {
        let text = std::str::from_utf8(&bytes).ok()?;
        let noncharacter =
            |c: char| matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
        (!text.chars().any(|c| c.is_control() || noncharacter(c))).then_some(Self(bytes))
    }

    /// The same text in bytes of its own, not those of the packet.
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Checked when it was made; an empty text stands in for what cannot be.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::ops::Deref for WireStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for WireStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Quality of service (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// 0.
    AtMostOnce,
    /// 1.
    AtLeastOnce,
    /// 2.
    ExactlyOnce,
}

/// A packet that a client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPacket {
    /// CONNECT.
    Connect(Box<Connect>),
    /// PUBLISH.
    Publish(Box<Publish>),
    /// PUBACK.
    PubAck(Ack),
    /// PUBREC.
    PubRec(Ack),
    /// PUBREL.
    PubRel(Ack),
    /// PUBCOMP.
    PubComp(Ack),
    /// SUBSCRIBE.
    Subscribe(Subscribe),
    /// UNSUBSCRIBE.
    Unsubscribe(Unsubscribe),
    /// PINGREQ.
    PingReq,
    /// DISCONNECT.
    Disconnect(Disconnect),
    /// AUTH (5.0). No enhanced authentication is offered, so its content does not matter.
    Auth,
}

/// CONNECT (§3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// Which protocol.
    pub version: ProtocolVersion,
    /// Clean Start, in 3.1.1 Clean Session.
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 turns it off.
    pub keep_alive_secs: u16,
    /// The client identifier, possibly empty.
    pub client_id: WireStr,
    /// The user name.
    pub username: Option<WireStr>,
    /// The password.
    pub password: Option<Bytes>,
    /// The will.
    pub will: Option<Will>,
    /// Session Expiry Interval in seconds; in 3.1.1 0 with Clean Session and `u32::MAX` without.
    pub session_expiry_secs: u32,
    /// Receive Maximum, 65,535 where none was given.
    pub receive_maximum: NonZeroU16,
    /// Maximum Packet Size in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// Request Response Information.
    pub request_response_information: bool,
    /// Request Problem Information, true where none was given.
    pub request_problem_information: bool,
    /// Authentication Method.
    pub authentication_method: Option<WireStr>,
}

impl fmt::Debug for Connect {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .finish_non_exhaustive()
    }
}

/// The will of a CONNECT (§3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Will Topic.
    pub topic: WireStr,
    /// Will Payload.
    pub payload: Bytes,
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval in seconds.
    pub delay_secs: u32,
    /// Message Expiry Interval in seconds.
    pub message_expiry_secs: Option<u32>,
    /// As [`Publish::forwardable`].
    pub forwardable: Bytes,
}

/// PUBLISH from a client (§3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// DUP.
    pub dup: bool,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// The topic name, empty only with an alias.
    pub topic: WireStr,
    /// Packet identifier where QoS > 0.
    pub packet_id: Option<NonZeroU16>,
    /// Topic Alias.
    pub topic_alias: Option<NonZeroU16>,
    /// Message Expiry Interval in seconds.
    pub message_expiry_secs: Option<u32>,
    /// The properties that a server must forward unaltered, as encoded and in their order: Payload
    /// Format Indicator, Content Type, Response Topic, Correlation Data and User Properties.
    pub forwardable: Bytes,
    /// The payload.
    pub payload: Bytes,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP (§3.4-3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// What it answers.
    pub packet_id: NonZeroU16,
    /// Success in 3.1.1.
    pub reason: ReasonCode,
}

/// PUBACK or PUBREC from the server (§3.4, §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishAck {
    /// What it answers.
    pub packet_id: NonZeroU16,
    /// Success, or why not; 3.1.1 sends none.
    pub reason: ReasonCode,
    /// Reason String.
    pub detail: Option<&'static str>,
}

/// SUBSCRIBE (§3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Packet identifier.
    pub packet_id: NonZeroU16,
    /// Subscription Identifier.
    pub identifier: Option<NonZeroU32>,
    /// At least one filter; as many as fit the maximum packet.
    pub filters: Vec<SubscribeFilter>,
}

/// A filter of a SUBSCRIBE with its options (§3.8.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// A well-formed topic filter.
    pub filter: WireStr,
    /// Maximum QoS.
    pub qos: QoS,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainHandling,
}

impl SubscribeFilter {
    /// The filter inside a shared subscription, in 5.0 (§4.8.2); none for any other.
    pub fn shared(&self) -> Option<&str> {
        super::topic::shared(&self.filter)
    }
}

/// When retained messages are sent at a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainHandling {
    /// 0, and always in 3.1.1.
    SendAlways,
    /// 1: only where the subscription is new.
    SendIfNew,
    /// 2.
    DoNotSend,
}

/// UNSUBSCRIBE (§3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Packet identifier.
    pub packet_id: NonZeroU16,
    /// At least one well-formed filter.
    pub filters: Vec<WireStr>,
}

/// DISCONNECT from a client (§3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// Normal disconnection in 3.1.1.
    pub reason: ReasonCode,
    /// A new Session Expiry Interval.
    pub session_expiry_secs: Option<u32>,
}

/// A packet that the server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerPacket {
    /// CONNACK.
    ConnAck(ConnAck),
    /// PUBLISH.
    Publish(ServerPublish),
    /// PUBACK.
    PubAck(PublishAck),
    /// PUBREC.
    PubRec(PublishAck),
    /// PUBREL.
    PubRel(Ack),
    /// PUBCOMP.
    PubComp(Ack),
    /// SUBACK.
    SubAck(SubAck),
    /// UNSUBACK.
    UnsubAck(UnsubAck),
    /// PINGRESP.
    PingResp,
    /// DISCONNECT; nothing is sent in 3.1.1, which has none from a server.
    Disconnect(ServerDisconnect),
}

impl ServerPacket {
    /// Takes its Reason String away, where it has one.
    pub fn drop_detail(&mut self) {
        match self {
            Self::ConnAck(connack) => connack.properties.reason_string = None,
            Self::PubAck(ack) | Self::PubRec(ack) => ack.detail = None,
            Self::SubAck(suback) => suback.detail = None,
            Self::UnsubAck(unsuback) => unsuback.detail = None,
            Self::Disconnect(disconnect) => disconnect.detail = None,
            Self::Publish(_) | Self::PubRel(_) | Self::PubComp(_) | Self::PingResp => {}
        }
    }
}

/// SUBACK (§3.9), a code a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// What it answers.
    pub packet_id: NonZeroU16,
    /// In the order of the filters.
    pub codes: Vec<ReasonCode>,
    /// Reason String, in 5.0.
    pub detail: Option<&'static str>,
}

/// UNSUBACK (§3.11), a code a filter; 3.1.1 sends none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// What it answers.
    pub packet_id: NonZeroU16,
    /// In the order of the filters.
    pub codes: Vec<ReasonCode>,
    /// Reason String, in 5.0.
    pub detail: Option<&'static str>,
}

/// DISCONNECT from the server (§3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerDisconnect {
    /// Why.
    pub reason: ReasonCode,
    /// Reason String.
    pub detail: Option<&'static str>,
}

/// CONNACK (§3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Session Present.
    pub session_present: bool,
    /// Success, or why not.
    pub reason: ReasonCode,
    /// Sent in 5.0 alone.
    pub properties: ConnAckProperties,
}

/// Properties of a CONNACK (§3.2.2.3); what is `None` is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnAckProperties {
    /// Session Expiry Interval in seconds.
    pub session_expiry_secs: Option<u32>,
    /// Receive Maximum.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size in bytes.
    pub maximum_packet_size: Option<u32>,
    /// Server Keep Alive in seconds.
    pub server_keep_alive_secs: Option<u16>,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: Option<u16>,
    /// Shared Subscription Available.
    pub shared_subscription_available: Option<bool>,
    /// Reason String.
    pub reason_string: Option<&'static str>,
}

/// PUBLISH to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPublish {
    /// DUP.
    pub dup: bool,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// The topic name.
    pub topic: String,
    /// Packet identifier where QoS > 0.
    pub packet_id: Option<NonZeroU16>,
    /// Message Expiry Interval in seconds.
    pub message_expiry_secs: Option<u32>,
    /// Content Type.
    pub content_type: Option<&'static str>,
    /// Encoded properties to pass on unaltered.
    pub forwardable: Bytes,
    /// Subscription Identifiers.
    pub subscription_identifiers: Vec<NonZeroU32>,
    /// The payload.
    pub payload: Bytes,
}

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// Reason Codes of MQTT 5.0 (§2.4). Codes with several names have one here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl ReasonCode {
            /// The code with this number.
            pub const fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $($value => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

reason_codes! {
    /// Success, Normal disconnection, Granted QoS 0.
    Success = 0x00,
    /// Granted QoS 1.
    GrantedQoS1 = 0x01,
    /// Granted QoS 2.
    GrantedQoS2 = 0x02,
    /// Disconnect with Will Message.
    DisconnectWithWillMessage = 0x04,
    /// No matching subscribers.
    NoMatchingSubscribers = 0x10,
    /// No subscription existed.
    NoSubscriptionExisted = 0x11,
    /// Continue authentication.
    ContinueAuthentication = 0x18,
    /// Re-authenticate.
    ReAuthenticate = 0x19,
    /// Unspecified error.
    UnspecifiedError = 0x80,
    /// Malformed Packet.
    MalformedPacket = 0x81,
    /// Protocol Error.
    ProtocolError = 0x82,
    /// Implementation specific error.
    ImplementationSpecificError = 0x83,
    /// Unsupported Protocol Version.
    UnsupportedProtocolVersion = 0x84,
    /// Client Identifier not valid.
    ClientIdentifierNotValid = 0x85,
    /// Bad User Name or Password.
    BadUserNameOrPassword = 0x86,
    /// Not authorized.
    NotAuthorized = 0x87,
    /// Server unavailable.
    ServerUnavailable = 0x88,
    /// Server busy.
    ServerBusy = 0x89,
    /// Banned.
    Banned = 0x8a,
    /// Server shutting down.
    ServerShuttingDown = 0x8b,
    /// Bad authentication method.
    BadAuthenticationMethod = 0x8c,
    /// Keep Alive timeout.
    KeepAliveTimeout = 0x8d,
    /// Session taken over.
    SessionTakenOver = 0x8e,
    /// Topic Filter invalid.
    TopicFilterInvalid = 0x8f,
    /// Topic Name invalid.
    TopicNameInvalid = 0x90,
    /// Packet Identifier in use.
    PacketIdentifierInUse = 0x91,
    /// Packet Identifier not found.
    PacketIdentifierNotFound = 0x92,
    /// Receive Maximum exceeded.
    ReceiveMaximumExceeded = 0x93,
    /// Topic Alias invalid.
    TopicAliasInvalid = 0x94,
    /// Packet too large.
    PacketTooLarge = 0x95,
    /// Message rate too high.
    MessageRateTooHigh = 0x96,
    /// Quota exceeded.
    QuotaExceeded = 0x97,
    /// Administrative action.
    AdministrativeAction = 0x98,
    /// Payload format invalid.
    PayloadFormatInvalid = 0x99,
    /// Retain not supported.
    RetainNotSupported = 0x9a,
    /// QoS not supported.
    QoSNotSupported = 0x9b,
    /// Use another server.
    UseAnotherServer = 0x9c,
    /// Server moved.
    ServerMoved = 0x9d,
    /// Shared Subscriptions not supported.
    SharedSubscriptionsNotSupported = 0x9e,
    /// Connection rate exceeded.
    ConnectionRateExceeded = 0x9f,
    /// Maximum connect time.
    MaximumConnectTime = 0xa0,
    /// Subscription Identifiers not supported.
    SubscriptionIdentifiersNotSupported = 0xa1,
    /// Wildcard Subscriptions not supported.
    WildcardSubscriptionsNotSupported = 0xa2,
}
