//! MQTT over plain TCP and over TLS.

use crate::address::Counted;
use crate::broker::Broker;
use crate::connection::Connection;
use crate::figures::TransportKind;
use crate::transport::{Framing, Stream, Transport};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// After accepting failed (out of file descriptors, mostly), it is tried again this much later.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

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
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            let Some(counted) = self.count(address.ip()) else {
                continue;
            };
            // Acknowledgements are small and wait for nothing.
            let _ = stream.set_nodelay(true);
            crate::notice_vanished(&stream);
            match tls.as_ref().map(|source| source()) {
                None => {
                    let stream = Box::new(stream);
                    self.serve(stream, Framing::Plain, TransportKind::Tcp, counted);
                }
                Some(acceptor) => {
                    let broker = self.clone();
                    self.0.connections.spawn(async move {
                        let timeout = broker.0.settings.connect_timeout;
                        let accepted = tokio::time::timeout(timeout, acceptor.accept(stream));
                        if let Ok(Ok(stream)) = accepted.await {
                            let stream: Box<dyn Stream> = Box::new(stream);
                            broker.serve(stream, Framing::Plain, TransportKind::Tls, counted);
                        }
                    });
                }
            }
        }
    }

    /// Counts a connection, unless its address has too many already.
    pub(crate) fn count(&self, address: IpAddr) -> Option<Counted> {
        let max = self.0.settings.connections_per_address;
        self.0.addresses.enter(address, max)
    }

    /// Serves one stream.
    pub(crate) fn serve(
        &self,
        stream: Box<dyn Stream>,
        framing: Framing,
        kind: TransportKind,
        counted: Counted,
    ) {
        let transport = Transport::new(stream, framing, self.0.settings.packet_bytes_max);
        let connection = Box::new(Connection::new(self.clone(), transport, kind));
        self.0.connections.spawn(async move {
            let _counted = counted;
            connection.run().await;
        });
    }
}
