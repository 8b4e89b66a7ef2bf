//! `belfry bench`: what this machine makes of the program. Each run starts the real server as a
//! process of its own, on a folder and ports of its own, seeded without sign-ups, and talks to it as
//! sites and devices do.
//!
//! Figures from a shared machine move; so each run also measures something that does not depend on
//! the program, and what counts is the ratio.

mod accept;
mod batch;
mod bystander;
mod connection;
mod device;
mod disk;
mod flood;
mod idle;
mod latency;
mod poster;
mod privacy;
mod processor;
mod samples;
mod stand;
mod storm;
mod traffic;

use crate::open_files;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::fmt::Display;
use std::path::PathBuf;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Notifications that are on disk a second, at several numbers of concurrent posters
    Accept(accept::Accept),
    /// Items a second that one site publishes: single posts, JSON calls and NDJSON streams
    Batch(batch::Batch),
    /// Time from a post to its 201 and to the device, at several rates
    Latency(latency::Latency),
    /// Memory that a connected device costs while nothing happens
    Idle(idle::Idle),
    /// What others feel of hostile clients: time from a post to their devices
    Bystander(bystander::Bystander),
    /// The hostile clients of `bystander`, which starts them
    #[command(hide = true)]
    Hostile(bystander::Hostile),
    /// The innocent program of `bystander`, which starts it
    #[command(hide = true)]
    Burn(bystander::Burn),
    /// What a quiet site feels of one that posts 20 times what it may, and what that one costs
    Flood(flood::Flood),
    /// The site of `flood` that posts too much, which starts it
    #[command(hide = true)]
    Flooding(flood::Flooding),
    /// What the time of an answer tells of a user: muted, online, a full mailbox, a name that there is
    Privacy(privacy::Privacy),
    /// Many devices that lose their connection together and come back to what was posted meanwhile
    Storm(storm::Storm),
}

/// Where and how the server under measurement runs.
#[derive(Args)]
struct Place {
    /// Folder to make the server's data in, for as long as it runs; put it on the disk in question
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The server's configuration [default: limits raised so far that none is met, see deploy/bench.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The program whose server is measured, such as an older one [default: this]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// How results are written.
#[derive(Clone, Copy)]
struct Report {
    json: bool,
}

impl Report {
    /// One line on stdout: a sentence, or an object.
    fn line(self, result: &(impl Display + Serialize)) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(result)?);
        } else {
            println!("{result}");
        }
        Ok(())
    }
}

/// Runs a measurement.
pub(crate) fn run(bench: Bench, json: bool) -> anyhow::Result<()> {
    open_files::raise_limit();
    let report = Report { json };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match bench {
                Bench::Accept(accept) => accept.run(report).await,
                Bench::Batch(batch) => batch.run(report).await,
                Bench::Latency(latency) => latency.run(report).await,
                Bench::Idle(idle) => idle.run(report).await,
                Bench::Bystander(bystander) => bystander.run(report).await,
                Bench::Hostile(hostile) => hostile.run().await,
                Bench::Burn(burn) => burn.run(),
                Bench::Flood(flood) => flood.run(report).await,
                Bench::Flooding(flooding) => flooding.run().await,
                Bench::Privacy(privacy) => privacy.run(report).await,
                Bench::Storm(storm) => storm.run(report).await,
            }
        })
}
