//! A real server of PostgreSQL for tests, and a pooler in front of it.
//!
//! Both run below a shell that waits for the end of its standard input: however a test ends, by a kill too, the system closes that pipe, and
//! the shell stops what it started and takes its folder away.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::link::Link;

/// How often, and how long after each other, it is tried to start a server again that was killed.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Makes a folder and a server in it that listens on a socket there, as another user if this one is root, which PostgreSQL refuses to be. An
/// empty cluster takes a second or two to make, so it is kept below `target` and copied.
const SERVER: &str = r#"
bin=$1; kept=$2; as=
folder=$(mktemp -d /tmp/slarouter-pg-XXXXXX) || exit 1
[ "$(id -u)" = 0 ] && as='setpriv --reuid=65534 --regid=65534 --clear-groups'
if [ ! -d "$kept" ]; then
	mkdir -p "$(dirname "$kept")"
	[ -z "$as" ] || chown 65534:65534 "$folder"
	(cd "$folder" && $as "$bin/initdb" -D "$folder/new" -U slarouter -A trust -E UTF8 --no-locale --no-sync) >"$folder/log" 2>&1 &&
		cp -r "$folder/new" "$kept.$$" && { mv -T "$kept.$$" "$kept" 2>/dev/null || rm -rf "$kept.$$"; }
fi
if cp -r "$kept" "$folder/data" 2>>"$folder/log" && chmod 700 "$folder/data" && { [ -z "$as" ] || chown -R 65534:65534 "$folder"; } && cd "$folder" &&
	$as "$bin/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w -t 60 start -o "-c listen_addresses='' -c unix_socket_directories='$folder' \
-c fsync=off -c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB -c max_wal_size=256MB" >>"$folder/log" 2>&1; then
	echo "$folder"
	read -r _
	$as "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1
else
	echo "failed: $(cat "$folder/log" "$folder/data/log" 2>/dev/null | tr '\n' ' ')"
fi
cd /
rm -rf "$folder"
"#;

/// Makes a folder and a pooler in it, in transaction mode, in front of the server whose socket is in the folder `$1`. Its socket is there before it
/// listens.
const POOLER: &str = r#"
server=$1; bin=$2; as=
folder=$(mktemp -d /tmp/slarouter-pgb-XXXXXX) || exit 1
{
	echo '[databases]'
	echo "* = host=$server port=5432 user=slarouter"
	echo '[pgbouncer]'
	echo 'listen_addr ='
	echo "unix_socket_dir = $folder"
	echo 'listen_port = 5432'
	echo 'auth_type = any'
	echo 'pool_mode = transaction'
	echo 'max_client_conn = 200'
	echo 'default_pool_size = 4'
	echo "logfile = $folder/log"
} >"$folder/pgbouncer.ini"
if [ "$(id -u)" = 0 ]; then chown -R 65534:65534 "$folder"; as='setpriv --reuid=65534 --regid=65534 --clear-groups'; fi
cd "$folder"
$as pgbouncer -q "$folder/pgbouncer.ini" 2>"$folder/start" &
pooler=$!
tries=0
until "$bin/pg_isready" -q -h "$folder" -p 5432 -U slarouter -d postgres || ! kill -0 $pooler 2>/dev/null || [ $tries -gt 600 ]; do tries=$((tries + 1)); sleep 0.05; done
if "$bin/pg_isready" -q -h "$folder" -p 5432 -U slarouter -d postgres; then
	echo "$folder"
	read -r _
	kill -TERM $pooler 2>/dev/null
	kill -INT $pooler 2>/dev/null
	wait $pooler 2>/dev/null
else
	echo "failed: $(cat "$folder/log" "$folder/start" 2>/dev/null | tr '\n' ' ')"
	kill -KILL $pooler 2>/dev/null
fi
cd /
rm -rf "$folder"
"#;

/// What stands behind a script, until this is dropped or this process ends.
#[derive(Debug)]
struct Kept {
    /// Its standard input is what keeps it.
    keeper: Child,
    folder: PathBuf,
}

/// A server with a cluster of its own.
#[derive(Debug)]
pub struct Postgres {
    kept: Kept,
    bin: PathBuf,
}

/// A pooler in transaction mode.
#[derive(Debug)]
pub struct Pooler {
    kept: Kept,
}

/// An empty database of one test; it is dropped with this.
#[derive(Debug)]
pub struct Database {
    server: &'static Postgres,
    name: String,
}

impl Kept {
    #[expect(clippy::panic, reason = "without a server there is nothing to test")]
    fn start(what: &str, script: &str, arguments: &[&Path]) -> Self {
        let mut command = Command::new("sh");
        // In a group of its own, so that what ends the test from a terminal does not end the shell before it has cleared up.
        command.args(["-c", script, "sh"]).args(arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = command.spawn().unwrap_or_else(|error| panic!("{what}: sh: {error}"));
        let mut line = String::new();
        if let Some(out) = keeper.stdout.take() {
            drop(BufReader::new(out).read_line(&mut line));
        }
        let folder = PathBuf::from(line.trim());
        assert!(folder.is_absolute(), "{what} does not start: {line}: `scripts/setup-test` installs what it needs");
        Self { keeper, folder }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

impl Postgres {
    /// The server of this process, which is started at the first call and ends with the process.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of its own, for a test that does it harm.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    #[must_use]
    pub fn start() -> Self {
        let bin = programs();
        let version = bin.parent().and_then(Path::file_name).unwrap_or_default();
        let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/postgres").join(version);
        Self { kept: Kept::start("PostgreSQL", SERVER, &[&bin, &cluster]), bin }
    }

    /// An empty database.
    ///
    /// # Panics
    /// If the server does not make one.
    pub fn database(&'static self) -> Database {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        Database { server: self, name }
    }

    /// The folder with its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.kept.folder
    }

    /// The URL of a database on it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url(&self.kept.folder, database)
    }

    /// Stops the server at once, as a kill would, and starts it again when `start` is called.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn stop(&self) {
        self.ctl(&["-m", "immediate", "stop"]);
    }

    /// Starts it again after [`Postgres::stop`], or after it was killed, with the settings that it had.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self) {
        // After a kill the processes that served connections still have its memory for a moment.
        let started = (0..TRIES).any(|attempt| {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            self.try_ctl(&["-w", "-l", "/dev/null", "restart", "-m", "immediate"])
        });
        assert!(started, "PostgreSQL does not start again");
    }

    /// The process that all others of the server belong to.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that asks for it means it to run")]
    pub fn id(&self) -> u32 {
        let file = std::fs::read_to_string(self.kept.folder.join("data/postmaster.pid")).unwrap_or_default();
        let id = file.lines().next().and_then(|line| line.trim().parse().ok());
        id.unwrap_or_else(|| panic!("PostgreSQL does not run"))
    }

    fn ctl(&self, arguments: &[&str]) {
        assert!(self.try_ctl(arguments), "pg_ctl {arguments:?}");
    }

    fn try_ctl(&self, arguments: &[&str]) -> bool {
        let data = self.kept.folder.join("data");
        let pg_ctl = self.bin.join("pg_ctl");
        let mut words = vec![pg_ctl.as_os_str(), "-D".as_ref(), data.as_os_str()];
        words.extend(arguments.iter().map(std::ffi::OsStr::new));
        let mut command = as_its_user(&words);
        let done = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    }

    #[expect(clippy::panic, reason = "a test that cannot ask its database fails")]
    fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.bin.join("psql"));
        command
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "slarouter", "-d", database, "-h"])
            .arg(&self.kept.folder);
        let said = command.args(["-c", sql]).output().map_err(|error| format!("psql: {error}"))?;
        if !said.status.success() {
            return Err(String::from_utf8_lossy(&said.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&said.stdout).trim_end().to_owned())
    }
}

impl Pooler {
    /// Starts a pooler in front of a server.
    ///
    /// # Panics
    /// If pgbouncer is not installed, or does not start.
    #[must_use]
    pub fn before(server: &Postgres) -> Self {
        Self { kept: Kept::start("pgbouncer", POOLER, &[&server.kept.folder, &server.bin]) }
    }

    /// The URL of a database by way of it.
    #[must_use]
    pub fn url(&self, database: &Database) -> String {
        url(&self.kept.folder, &database.name)
    }
}

impl Database {
    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// A network before its server, and where it is by way of that.
    pub async fn link(&self) -> (Link, String) {
        let link = Link::before(&self.server.kept.folder.join(".s.PGSQL.5432")).await;
        let url = format!("postgres://slarouter@{}/{}", link.addr(), self.name);
        (link, url)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What another program does to the database: statements, and the rows of the last one, their values with bars between them.
    ///
    /// # Panics
    /// If the server refuses one of them.
    pub fn run(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql)
    }

    /// Keeps a copy of the database as it is now, as a standby has it. Cuts all connections.
    ///
    /// # Panics
    /// If the server refuses that.
    pub fn keep(&self) {
        let Self { server, name } = self;
        self.alone(|| {
            server.psql("postgres", &format!("CREATE DATABASE {name}_kept TEMPLATE {name}"));
        });
    }

    /// Puts the copy in its place, as a standby is promoted: what was committed since is lost. Cuts all connections.
    ///
    /// # Panics
    /// If the server refuses that, or nothing was kept.
    pub fn set_back(&self) {
        let Self { server, name } = self;
        self.alone(|| {
            server.psql("postgres", &format!("ALTER DATABASE {name} RENAME TO {name}_lost"));
            server.psql("postgres", &format!("ALTER DATABASE {name}_kept RENAME TO {name}"));
        });
        server.psql("postgres", &format!("DROP DATABASE {name}_lost"));
    }

    /// Does something while nobody is connected.
    fn alone(&self, work: impl FnOnce()) {
        let Self { server, name } = self;
        let others = format!("FROM pg_stat_activity WHERE datname = '{name}'");
        server.psql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        server.psql("postgres", &format!("SELECT pg_terminate_backend(pid) {others}"));
        // They end a moment later.
        while server.psql("postgres", &format!("SELECT count(*) {others}")) != "0" {}
        work();
        server.psql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    }

    /// The same, and `None` if the server is away or refuses one of them.
    pub fn try_run(&self, sql: &str) -> Option<String> {
        self.server.try_psql(&self.name, sql).ok()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be the one that was stopped.
        let mut command = Command::new(self.server.bin.join("psql"));
        command.args(["-XqAt", "-U", "slarouter", "-d", "postgres", "-h"]).arg(&self.server.kept.folder);
        command.args(["-c", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)]);
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

fn url(folder: &Path, database: &str) -> String {
    format!("postgres://slarouter@{}/{database}", folder.display().to_string().replace('/', "%2F"))
}

/// A command of the user who runs the servers.
fn as_its_user(words: &[&std::ffi::OsStr]) -> Command {
    let mut command = if is_root() { Command::new("setpriv") } else { Command::new(words[0]) };
    if is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(words[0]);
    }
    command.args(&words[1..]);
    command
}

fn is_root() -> bool {
    let mut said = String::new();
    let asked = Command::new("id").arg("-u").stdout(Stdio::piped()).spawn();
    if let Ok(mut asked) = asked {
        if let Some(out) = &mut asked.stdout {
            drop(out.read_to_string(&mut said));
        }
        drop(asked.wait());
    }
    said.trim() == "0"
}

/// The folder with the newest server's programs.
#[expect(clippy::panic, reason = "without a server there is nothing to test")]
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    let number = |bin: &PathBuf| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = found.max_by_key(number);
    newest
        .unwrap_or_else(|| panic!("there is no PostgreSQL below /usr/lib/postgresql: `scripts/setup-test` installs it"))
}
