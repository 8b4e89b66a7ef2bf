//! Processor time that a process has used.

use anyhow::Context as _;
use std::time::Instant;

/// Ticks a second in /proc, on every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// The seconds that a process has used, in user and system mode.
pub(super) fn seconds(process: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // After the name, which may hold anything: state is field 3, utime 14 and stime 15.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND)
}

pub(super) struct Spent {
    seconds: f64,
    at: Instant,
}

impl Spent {
    /// Until now.
    pub(super) fn of(process: u32) -> anyhow::Result<Self> {
        Ok(Self {
            seconds: seconds(process)?,
            at: Instant::now(),
        })
    }

    /// How many processors it kept busy since then.
    pub(super) fn cores_since(&self, before: &Self) -> f64 {
        (self.seconds - before.seconds) / (self.at - before.at).as_secs_f64()
    }
}
