//! Tells who looks on that something is another now, so that their pages read it again.

use tokio::sync::broadcast;

/// Acts that a slow listener may be behind; beyond, it is told that it missed some.
const BEHIND_MAX: usize = 256;

/// What was changed, by a word: `sites`, `users`, `bans`, `limits`, `audit`, `tokens`, `nodes` or
/// `account`.
#[derive(Clone)]
pub struct Changed(broadcast::Sender<&'static str>);

impl Default for Changed {
    fn default() -> Self {
        Self(broadcast::channel(BEHIND_MAX).0)
    }
}

impl Changed {
    /// Says that this was changed, and that there is a row about it.
    pub fn tell(&self, what: &'static str) {
        // Nobody may be listening.
        let _ = self.0.send(what);
        let _ = self.0.send("audit");
    }

    /// Hears of all from now on.
    pub fn listen(&self) -> broadcast::Receiver<&'static str> {
        self.0.subscribe()
    }
}
