//! A real PostgreSQL of the test's own: a new cluster in a temporary folder, reached by a socket there.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use tempfile::TempDir;

/// The account that Debian's package makes; a server refuses to run as root.
const ACCOUNT: &str = "postgres";

pub(super) struct PostgreSql {
    server: Child,
    log: Option<JoinHandle<()>>,
    folder: TempDir,
}

impl PostgreSql {
    /// Makes a cluster and starts it; fails where PostgreSQL is not installed.
    pub(super) fn start() -> Self {
        let programs = programs();
        // Not where TMPDIR says: a socket's path is short, and the server's account has to get there.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        if root() {
            run(Command::new("chown").arg(ACCOUNT).arg(folder.path()));
        }
        let data = folder.path().join("data");
        run(program(&programs.join("initdb"), &folder)
            .args([
                "--username=belfry",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .arg(&data));
        let mut server = program(&programs.join("postgres"), &folder)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let mut started = Self {
            server,
            log: None,
            folder,
        };
        let ready = |line: &String| line.contains("database system is ready to accept connections");
        let mut said = lines.by_ref().map_while(Result::ok);
        assert!(said.any(|line| ready(&line)), "PostgreSQL did not start");
        // Read to the end, so that the server never waits for a full pipe.
        let log = std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        started.log = Some(log);
        started
    }

    pub(super) fn url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgres://belfry@localhost/postgres?host={folder}")
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        // SIGINT: disconnect everybody and end.
        if matches!(self.server.try_wait(), Ok(None)) {
            run(Command::new("kill").args(["-INT", &self.server.id().to_string()]));
        }
        let _ = self.server.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

fn root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// One of the server's programs, not as root and in a folder that its account may enter.
fn program(path: &Path, folder: &TempDir) -> Command {
    let mut command = if root() {
        // It becomes the program, so that signals reach that.
        let mut command = Command::new("setpriv");
        let account = [format!("--reuid={ACCOUNT}"), format!("--regid={ACCOUNT}")];
        command
            .args(account)
            .args(["--clear-groups", "--"])
            .arg(path);
        command
    } else {
        Command::new(path)
    };
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// The folder of the server's programs: on the PATH, or the newest that Debian keeps.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut debian: Vec<(u32, PathBuf)> = versions
        .map_while(Result::ok)
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .collect();
    debian.sort_unstable();
    let debian = debian.into_iter().rev().map(|(_, programs)| programs);
    let mut folders = std::env::split_paths(&path).chain(debian);
    folders
        .find(|folder| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file()))
        .expect("the programs of PostgreSQL 15 or newer: install them (Debian: apt-get install postgresql)")
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
