//! MQTT over plain TCP and over TLS.

use crate::admission::{Admitted, Turned};
use crate::broker::Broker;
use crate::connection::Connection;
use crate::denial;
use crate::figures::{self, TransportKind};
use crate::transport::{Framing, Progress, Stream, Transport};
use crate::wire::{ClientPacket, ConnAck, ConnAckProperties, ReasonCode, ServerPacket};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// After accepting failed (out of file descriptors, mostly), it is tried again this much later, so that
/// it neither spins nor fills the log.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The largest CONNECT that is read only to be refused: one without a large will.
const TURNED_AWAY_BYTES_MAX: u32 = 4 * 1024;

/// Gives the acceptor for the next connection, so that a reloaded certificate is used at once.
pub type TlsSource = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

impl Broker {
    /// Serves MQTT on a listener until `stop` is cancelled; connections live on until
    /// [`Broker::drain`]. With `tls`, speaks TLS only.
    pub async fn serve_tcp(
        &self,
        listener: TcpListener,
        tls: Option<TlsSource>,
        stop: CancellationToken,
    ) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
                () = self.0.draining.cancelled() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                // Of that connection alone: the next is not at fault.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            // Acknowledgements are small and wait for nothing.
            let _ = stream.set_nodelay(true);
            crate::notice_vanished(&stream);
            let tls = tls.as_ref().map(|source| source());
            match self.admit(address.ip()) {
                Ok(admitted) => self.begin(stream, tls, address.ip(), admitted),
                Err(why) if tls.is_none() => self.turn_away(stream, address.ip(), why),
                // A handshake costs more than it is worth to say no.
                Err(why) => figures::turned_away(why),
            }
        }
    }

    /// Counts a connection, unless there are too many already.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Admitted, Turned> {
        if self.0.directory.is_address_banned(address) {
            return Err(Turned::Banned);
        }
        let per_address = self.0.directory.connections_per_address();
        self.0.admission.admit(address, per_address)
    }

    /// Serves a stream when its turn comes.
    fn begin(
        &self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
        address: IpAddr,
        mut admitted: Admitted,
    ) {
        if tls.is_none() && admitted.is_its_turn() {
            let stream = Box::new(stream);
            self.serve(stream, Framing::Plain, TransportKind::Tcp, admitted);
            return;
        }
        let broker = self.clone();
        self.0.connections.spawn(async move {
            let turn = broker.0.draining.run_until_cancelled(admitted.turn());
            match (turn.await, tls) {
                (None, _) => {}
                (Some(Err(why)), None) => {
                    drop(admitted);
                    broker.turn_away(stream, address, why);
                }
                (Some(Err(why)), Some(_)) => figures::turned_away(why),
                (Some(Ok(())), None) => {
                    let stream = Box::new(stream);
                    broker.serve(stream, Framing::Plain, TransportKind::Tcp, admitted);
                }
                (Some(Ok(())), Some(acceptor)) => {
                    let timeout = broker.0.settings.connect_timeout;
                    let accepted = tokio::time::timeout(timeout, acceptor.accept(stream));
                    if let Ok(Ok(stream)) = accepted.await {
                        let stream: Box<dyn Stream> = Box::new(stream);
                        broker.serve(stream, Framing::Plain, TransportKind::Tls, admitted);
                    }
                }
            }
        });
    }

    /// Serves one stream whose turn it is.
    pub(crate) fn serve(
        &self,
        stream: Box<dyn Stream>,
        framing: Framing,
        kind: TransportKind,
        admitted: Admitted,
    ) {
        let transport = Transport::new(stream, framing, self.0.settings.packet_bytes_max);
        let connection = Connection::new(self.clone(), transport, kind, admitted);
        self.0.connections.spawn(Box::new(connection).run());
    }

    /// Answers the CONNECT of a connection that may not begin, if that is there in time.
    fn turn_away(&self, stream: TcpStream, address: IpAddr, why: Turned) {
        figures::turned_away(why);
        let Some(courtesy) = self.0.admission.turn_away(address) else {
            return;
        };
        let stream = Box::new(stream);
        let transport = Transport::new(stream, Framing::Plain, TURNED_AWAY_BYTES_MAX);
        let (timeout, draining) = (self.0.settings.connect_timeout, self.0.draining.clone());
        self.0.connections.spawn(async move {
            let told = tokio::time::timeout(timeout, tell(transport, why));
            let _ = draining.run_until_cancelled(told).await;
            drop(courtesy);
        });
    }
}

/// Answers a CONNECT with why it is refused; anything else with nothing.
async fn tell(mut transport: Transport, why: Turned) {
    let connect = loop {
        match transport.next_packet(None) {
            Ok(Some(ClientPacket::Connect(connect))) => break connect,
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return,
        }
        let received = poll_fn(|context| transport.poll(context, true)).await;
        if received == Progress::Ended {
            return;
        }
    };
    let (reason, detail) = match why {
        Turned::Address => (
            ReasonCode::QuotaExceeded,
            "this address has too many connections",
        ),
        Turned::Full => (
            ReasonCode::ServerBusy,
            "the server has all the connections it can; connect again later",
        ),
        Turned::Busy => (
            ReasonCode::ServerBusy,
            "many are connecting; connect again in a little while",
        ),
        Turned::Banned => (denial::BANNED.reason, denial::BANNED.says),
    };
    let answer = ServerPacket::ConnAck(ConnAck {
        session_present: false,
        reason,
        properties: ConnAckProperties {
            reason_string: Some(detail),
            ..ConnAckProperties::default()
        },
    });
    transport.write(&answer, connect.version);
    // A client that is gone needs no answer.
    let _ = transport.finish().await;
}
