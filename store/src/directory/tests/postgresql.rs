//! A real PostgreSQL of the test's own: a new cluster in a temporary folder, reached by a socket there.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
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
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if root() {
            run(Command::new("chown").arg(ACCOUNT).arg(folder.path()));
        }
        let data = folder.path().join("data");
        run(program("initdb", &folder)
            .args([
                "--username=belfry",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .arg(&data));
        let mut server = program("postgres", &folder)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let ready = |line: &String| line.contains("database system is ready to accept connections");
        assert!(
            lines
                .by_ref()
                .map_while(Result::ok)
                .any(|line| ready(&line)),
            "PostgreSQL did not start"
        );
        // Read to the end, so that the server never waits for a full pipe.
        let log = std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self {
            server,
            log: Some(log),
            folder,
        }
    }

    pub(super) fn url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgres://belfry@localhost/postgres?host={folder}")
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        // SIGINT: disconnect everybody and end.
        run(Command::new("kill").args(["-INT", &self.server.id().to_string()]));
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
fn program(name: &str, folder: &TempDir) -> Command {
    let path = find(name);
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

/// On the PATH, or where Debian keeps the programs of each version.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let debian = versions
        .map_while(Result::ok)
        .map(|version| version.path().join("bin"));
    let found = std::env::split_paths(&path)
        .chain(debian)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    found
        .unwrap_or_else(|| panic!("no {name}: install PostgreSQL 15 or newer (Debian: postgresql)"))
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
