//! Peers that vanish without a word: their network is gone, or their power. MQTT's keep-alive notices
//! them, where a device agreed to one; a 3.1.1 device need not, and an HTTP client has none.

use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long what was sent may go without a sign that it arrived: a tunnel, and no more. The kernel's
/// own is a quarter of an hour.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(120);
/// How long nothing happens before the peer's kernel is asked. A phone's radio wakes for it, so
/// seldom; the time after which the strictest of the usual address translators forget a connection
/// anyway (RFC 5382 §5: two hours, and many less).
const IDLE: Duration = Duration::from_secs(20 * 60);
/// How often it is asked then, until the other time is over.
const EVERY: Duration = Duration::from_secs(30);

/// Lets the kernel find out that the peer of an accepted connection is gone.
pub fn notice_vanished(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new().with_time(IDLE).with_interval(EVERY);
    // Refused only where the connection has already ended.
    let _ = socket.set_tcp_keepalive(&keep_alive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
}
