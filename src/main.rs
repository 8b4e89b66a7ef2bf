//! The `belfry` program.

mod bench;
mod command;
mod http;
mod live;
mod open_files;
mod pages;
mod serve;
mod stop;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("belfry: {error:#}");
            ExitCode::FAILURE
        }
    }
}
