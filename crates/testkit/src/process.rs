//! Child processes: ready when they say so, killed at any moment.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::patience::PATIENCE;

/// A running binary that has said where it listens. Killed (SIGKILL) when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    ready: Value,
    addr: SocketAddr,
    stderr: Arc<Mutex<String>>,
    stderr_ends: JoinHandle<()>,
}

impl Daemon {
    /// Starts the command and waits for its first line on standard output: a JSON object with `listening`, as
    /// `127.0.0.1:PORT`. Standard input stays open until [`wait`](Self::wait).
    ///
    /// # Errors
    /// If the binary is missing, ends or prints something else first, or says nothing for a minute. What it wrote to
    /// standard error is in the message.
    pub async fn spawn(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped());
        Self::start(command).await
    }

    /// The same with a listening socket handed over as systemd does it (`sd_listen_fds(3)`), in place of standard input. The caller holds it too,
    /// so that clients may connect while no process listens.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn), and if the socket cannot be handed over.
    pub async fn spawn_on(command: &Command, socket: &TcpListener) -> io::Result<Self> {
        let command = command.as_std();
        let mut shell = Command::new("sh");
        // The number of the process is known to itself alone.
        shell.arg("-c").arg("export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\" 3<&0 0</dev/null").arg("sh");
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(OwnedFd::from(socket.try_clone()?));
        Self::start(&mut shell).await
    }

    async fn start(command: &mut Command) -> io::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the pipes are missing"));
        };
        let text = Arc::new(Mutex::new(String::new()));
        let stderr_ends = tokio::spawn(collect(stderr, text.clone()));
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
        let ready: Option<Value> = serde_json::from_str(&line).ok();
        let addr = ready.as_ref().and_then(|ready| ready["listening"].as_str()).and_then(|addr| addr.parse().ok());
        let (Ok(Ok(_)), Some(ready), Some(addr)) = (read, ready, addr) else {
            drop(child.kill().await);
            drop(stderr_ends.await);
            let status = child.wait().await?;
            let stderr = text.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(io::Error::other(format!("not ready: said {line:?}, {status}, standard error: {stderr}")));
        };
        // Later lines must not fill the pipe.
        tokio::spawn(collect(stdout, Arc::default()));
        Ok(Self { child, ready, addr, stderr: text, stderr_ends })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id; `None` once it has ended and was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The whole object it printed.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.start_kill()?;
        self.wait().await
    }

    /// Sends SIGTERM and returns at once.
    ///
    /// # Errors
    /// If the process is gone already.
    pub async fn terminate(&self) -> io::Result<()> {
        self.signal("-TERM").await
    }

    /// Sends SIGINT, as Ctrl-C does, and returns at once.
    ///
    /// # Errors
    /// If the process is gone already.
    pub async fn interrupt(&self) -> io::Result<()> {
        self.signal("-INT").await
    }

    /// Sends SIGHUP and returns at once.
    ///
    /// # Errors
    /// If the process is gone already.
    pub async fn hang_up(&self) -> io::Result<()> {
        self.signal("-HUP").await
    }

    async fn signal(&self, signal: &str) -> io::Result<()> {
        let id = self.child.id().ok_or_else(|| io::Error::other("the process has ended"))?;
        let sent = Command::new("kill").arg(signal).arg(id.to_string()).status().await?;
        if sent.success() { Ok(()) } else { Err(io::Error::other(format!("kill: {sent}"))) }
    }

    /// Closes standard input and waits for the end.
    ///
    /// # Errors
    /// As [`Child::wait`], and if it has not ended after a minute.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            let said = self.stderr();
            return Err(io::Error::other(format!("the process has not ended after a minute, standard error: {said}")));
        };
        let status = status?;
        // Everything written is then in `stderr`.
        if !self.stderr_ends.is_finished() {
            drop((&mut self.stderr_ends).await);
        }
        Ok(status)
    }
}

async fn collect(pipe: impl AsyncRead + Unpin, text: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&line);
        text.push('\n');
    }
}
