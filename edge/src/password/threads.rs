//! Threads that hash and do nothing else. tokio's own for blocking work are everybody's, so none of them
//! can step back for good.

use super::argon::Memory;
use crate::ApiError;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::oneshot;

/// How far the hashing threads step back (`nice`): notifications on their way go first, and a flood of
/// sign-ins slows sign-ins alone. Not the lowest, so that a busy machine still lets people in.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// They end with what holds this.
pub(super) struct Threads(mpsc::Sender<Job>);

impl Threads {
    /// Starts so many. Whoever runs something has a turn of as many, so nothing waits in the channel.
    pub(super) fn start(count: usize) -> Self {
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        // The one that was used last is used next: on a calm server there is only one.
        let memories: Arc<Mutex<Vec<Memory>>> = Arc::default();
        for _ in 0..count {
            let (receiver, memories) = (Arc::clone(&receiver), Arc::clone(&memories));
            let thread = std::thread::Builder::new().name("password".to_owned());
            let spawned = thread.spawn(move || {
                step_back();
                while let Some(job) = next(&receiver) {
                    let mut memory = lock(&memories).pop().unwrap_or_default();
                    // Whoever waits for one that panics is told so by its end.
                    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
                    lock(&memories).push(memory);
                }
            });
            if let Err(error) = spawned {
                tracing::error!(%error, "there is no thread to check passwords on");
            }
        }
        Self(sender)
    }

    /// Has it done.
    ///
    /// # Errors
    /// There is no thread, or it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            // Whoever asked may be gone.
            let _ = answer.send(work(memory));
        });
        self.0.send(job).map_err(|_| ApiError::unavailable())?;
        answered.await.map_err(|_| ApiError::unavailable())
    }
}

fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    lock(jobs).recv().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On Linux a priority is a thread's; elsewhere it is the process's and stays as it is.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::getpriority_process(None)
        .and_then(|own| rustix::process::setpriority_process(None, (own + NICENESS).min(19)))
    {
        tracing::warn!(%error, "passwords are checked at the same priority as all else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn they_step_back_for_all_else() {
        let niceness = |_: &mut Memory| rustix::process::getpriority_process(None).ok();
        let own = niceness(&mut Memory::default()).expect("a priority");
        let theirs = Threads::start(1).run(niceness).await.expect("an answer");
        assert_eq!(theirs, Some((own + NICENESS).min(19)));
        assert_eq!(niceness(&mut Memory::default()), Some(own));
    }

    #[tokio::test]
    async fn one_that_panics_ends_only_what_it_did() {
        let threads = Threads::start(1);
        let panicked = threads.run(|_| panic!("as work must not")).await;
        assert!(panicked.is_err());
        assert_eq!(threads.run(|_| 1).await.expect("an answer"), 1);
    }
}
