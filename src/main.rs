//! The `belfry` program.

mod admin;
mod bench;
mod command;
mod http;
mod live;
mod open_files;
mod pages;
mod serve;
mod stop;
mod tls;
mod unparsed;

fn main() -> std::process::ExitCode {
    command::run()
}
