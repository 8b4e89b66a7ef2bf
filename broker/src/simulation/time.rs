//! The one source of time of a simulated world: tokio's paused clock, read as the time of day too.

use belfry_protocol::time::Timestamp;
use std::cell::Cell;
use tokio::time::Instant;

/// Milliseconds since the Unix epoch, in the simulated world.
pub(super) type Millis = u64;

/// When every world begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// How often the broker may look at its streams and its mailbox at one instant: far more than any work
/// takes, so past it something wants what can only come later, without waiting for it.
const LOOKS_MAX: u32 = 200_000;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static LOOKED: Cell<(Millis, u32)> = const { Cell::new((0, 0)) };
}

/// The broker looks at a stream or reads the mailbox.
pub(super) fn look() {
    let now = millis();
    let (at, looks) = LOOKED.get();
    let looks = if at == now { looks + 1 } else { 0 };
    LOOKED.set((now, looks));
    assert!(looks < LOOKS_MAX, "a connection runs in circles");
}

/// From now on this thread's time of day is that of the simulated world.
pub(super) fn begin() {
    BEGAN.set(Some(Instant::now()));
}

/// This thread's time of day is the machine's again.
pub(super) fn end() {
    BEGAN.set(None);
}

/// The simulated time of day, where a world is simulated on this thread.
pub(crate) fn now() -> Option<Timestamp> {
    BEGAN.get().map(|began| BEGINNING.plus(began.elapsed()))
}

pub(super) fn millis() -> Millis {
    now().expect("a world is simulated here").as_millis()
}
