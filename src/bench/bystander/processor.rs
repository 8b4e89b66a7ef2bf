//! Processor time that a process has used.

use anyhow::Context as _;
use std::time::Instant;

/// Ticks a second in /proc, on every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) struct Spent {
    seconds: f64,
    at: Instant,
}

impl Spent {
    /// Until now, in user and system mode.
    pub(super) fn of(process: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is a name in parentheses that may have spaces.
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc")?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks =
            || -> anyhow::Result<f64> { Ok(fields.next().context("no times in /proc")?.parse()?) };
        Ok(Self {
            seconds: (ticks()? + ticks()?) / TICKS_PER_SECOND,
            at: Instant::now(),
        })
    }

    /// How many processors it kept busy since then.
    pub(super) fn cores_since(&self, before: &Self) -> f64 {
        (self.seconds - before.seconds) / (self.at - before.at).as_secs_f64()
    }
}
