//! An innocent program: it uses the processor and touches nothing else.

use clap::Args;
use std::time::{Duration, Instant};

/// Threads, as a load and the server have: two processes.
const THREADS: u32 = 2;
/// How finely work and rest alternate: about as a server that answers requests does.
const TURN: Duration = Duration::from_millis(1);

#[derive(Args)]
pub(crate) struct Burn {
    /// Processors to keep busy
    #[arg(long)]
    cores: f64,
}

pub(in crate::bench) fn arguments(cores: f64) -> Vec<String> {
    vec![
        "burn".to_owned(),
        "--cores".to_owned(),
        format!("{cores:.3}"),
    ]
}

impl Burn {
    /// Burns until it is ended.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let share = (self.cores / f64::from(THREADS)).clamp(0.0, 1.0);
        let threads: Vec<_> = (0..THREADS)
            .map(|_| std::thread::spawn(move || burn(share)))
            .collect();
        println!("burning");
        for thread in threads {
            let _ = thread.join();
        }
        Ok(())
    }
}

fn burn(share: f64) {
    let busy = TURN.mul_f64(share);
    loop {
        let start = Instant::now();
        while start.elapsed() < busy {
            std::hint::spin_loop();
        }
        if let Some(rest) = TURN.checked_sub(start.elapsed()) {
            std::thread::sleep(rest);
        }
    }
}
