//! How the program ends: a first signal drains, a second exits at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the token at the first SIGTERM or SIGINT and leaves at the second.
///
/// # Errors
/// The signals cannot be caught.
pub(crate) fn on_signals(stopping: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stopping.is_cancelled() {
                tracing::warn!("second signal: exiting at once");
                std::process::exit(1);
            }
            tracing::info!("draining; a second signal exits at once");
            stopping.cancel();
        }
    })
}
