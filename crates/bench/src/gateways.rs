//! The gateways under load: how each is started, and where it is asked.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::load::Target;

/// LiteLLM takes half a minute, and minutes where others work too.
const PATIENCE: Duration = Duration::from_secs(300);
const CHAT: &str = "/v1/chat/completions";
/// LiteLLM does not start with a weak one.
const KEY: &str = "sk-bench-0123456789abcdef-0123456789abcdef";

/// A process that answers.
pub(crate) struct Gateway {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) target: Target,
    /// `None` for the mock asked directly.
    pub(crate) pid: Option<u32>,
    process: Option<Process>,
}

/// Told to end when dropped, which unlike killing takes its workers with it.
struct Process(Child);

/// Where things are.
pub(crate) struct Places {
    pub(crate) slarouter: PathBuf,
    /// The folder with a virtual environment for each peer.
    pub(crate) peers: PathBuf,
    /// For configurations, logs and databases.
    pub(crate) work: PathBuf,
    pub(crate) upstream: SocketAddr,
}

pub(crate) const NAMES: [&str; 5] = ["slarouter", "nginx", "switchyard", "tensorzero", "litellm"];

// === impl Gateway ===

impl Gateway {
    /// The mock without any gateway.
    pub(crate) fn direct(upstream: SocketAddr) -> Self {
        let target = Target::new(upstream, CHAT, "mock", None, false);
        Self { name: "direct", version: String::new(), target, pid: None, process: None }
    }

    /// # Errors
    /// Why it cannot be had here.
    pub(crate) async fn start(name: &str, places: &Places) -> anyhow::Result<Self> {
        match name {
            "slarouter" => places.slarouter().await,
            "nginx" => places.nginx().await,
            "switchyard" => places.switchyard().await,
            "tensorzero" => places.tensorzero().await,
            "litellm" => places.litellm().await,
            other => bail!("there is no gateway {other:?}: {NAMES:?}"),
        }
    }

    /// Ends it, and waits for that.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.terminate();
        timeout(PATIENCE, process.0.wait()).await.with_context(|| format!("{} does not end", self.name))??;
        Ok(())
    }
}

// === impl Process ===

impl Process {
    fn terminate(&self) {
        if let Some(pid) = self.0.id() {
            // It may have ended by itself.
            drop(std::process::Command::new("kill").arg(pid.to_string()).status());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
    }
}

// === impl Places ===

impl Places {
    async fn slarouter(&self) -> anyhow::Result<Gateway> {
        let config = self.write("slarouter.toml", include_str!("../peers/slarouter.toml"), &[])?;
        let mut command = Command::new(&self.slarouter);
        command.arg("serve").arg("--config").arg(config);
        let version = output(Command::new(&self.slarouter).arg("--version")).await?;
        let (process, line) = self.started("slarouter", &mut command).await?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        let addr = line["listening"].as_str().context("slarouter does not say where it listens")?.parse()?;
        let version = version.split_whitespace().last().unwrap_or_default().to_owned();
        Ok(gateway("slarouter", version, Target::new(addr, CHAT, "auto", None, true), process))
    }

    async fn nginx(&self) -> anyhow::Result<Gateway> {
        // Where Debian puts it, which is not on everybody's path.
        let binary = ["/usr/sbin/nginx", "nginx"].into_iter().find(|path| Path::new(path).exists()).unwrap_or("nginx");
        let version = output(Command::new(binary).arg("-v")).await.context("Debian's package nginx-light has it")?;
        let port = free_port().await?;
        let config = self.write("nginx.conf", include_str!("../peers/nginx.conf"), &[("@PORT@", &port.to_string())])?;
        let mut command = Command::new(binary);
        command.arg("-c").arg(config).arg("-p").arg(&self.work).arg("-e").arg("stderr");
        let process = self.spawn("nginx", &mut command, false)?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        listening(addr).await?;
        let version = version.rsplit('/').next().unwrap_or_default().trim().to_owned();
        Ok(gateway("nginx", version, Target::new(addr, CHAT, "mock", None, false), process))
    }

    async fn switchyard(&self) -> anyhow::Result<Gateway> {
        let script = self.write("serve_switchyard.py", include_str!("../peers/serve_switchyard.py"), &[])?;
        let config = self.write("switchyard.toml", include_str!("../peers/switchyard.toml"), &[])?;
        let (version, mut command) = self.python("switchyard", "nemo-switchyard").await?;
        command.arg(script).arg(config).env("MOCK_KEY", "sk-mock");
        let (process, url) = self.started("switchyard", &mut command).await?;
        Ok(gateway("switchyard", version, Target::new(addr(&url)?, CHAT, "auto", None, false), process))
    }

    async fn tensorzero(&self) -> anyhow::Result<Gateway> {
        let script = self.write("serve_tensorzero.py", include_str!("../peers/serve_tensorzero.py"), &[])?;
        let config = self.write("tensorzero.toml", include_str!("../peers/tensorzero.toml"), &[])?;
        let (version, mut command) = self.python("tensorzero", "tensorzero").await?;
        command.arg(script).arg(config);
        let (process, url) = self.started("tensorzero", &mut command).await?;
        let path = "/openai/v1/chat/completions";
        let target = Target::new(addr(&url)?, path, "tensorzero::model_name::mock", None, false);
        Ok(gateway("tensorzero", version, target, process))
    }

    async fn litellm(&self) -> anyhow::Result<Gateway> {
        let config = self.write("litellm.yaml", include_str!("../peers/litellm.yaml"), &[("@KEY@", KEY)])?;
        let (version, mut command) = self.python("litellm", "litellm").await?;
        let port = free_port().await?;
        command.arg(self.peers.join("litellm/bin/litellm")).arg("--config").arg(config);
        command.args(["--host", "127.0.0.1", "--num_workers", "2", "--port"]).arg(port.to_string());
        // It would fetch its table of prices at every start.
        command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        let process = self.spawn("litellm", &mut command, false)?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        listening(addr).await?;
        Ok(gateway("litellm", version, Target::new(addr, CHAT, "auto", Some(KEY), false), process))
    }

    /// The version of a peer's package, and its Python.
    async fn python(&self, name: &str, package: &str) -> anyhow::Result<(String, Command)> {
        let python = self.peers.join(name).join("bin/python");
        if !python.exists() {
            bail!("{} is not there: scripts/setup-bench installs it", python.display());
        }
        let script = format!("import importlib.metadata as m; print(m.version({package:?}))");
        let version = output(Command::new(&python).args(["-c", &script])).await?;
        Ok((version, Command::new(python)))
    }

    /// Writes a file of the bench's into the work folder, with what stands for places put in.
    fn write(&self, name: &str, text: &str, more: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
        let path = self.work.join(name);
        let mut text = text.replace("@UPSTREAM@", &self.upstream.to_string());
        text = text.replace("@DIR@", &self.work.display().to_string());
        for (from, to) in more {
            text = text.replace(from, to);
        }
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Starts a process that says in a line where it listens.
    async fn started(&self, name: &str, command: &mut Command) -> anyhow::Result<(Process, String)> {
        let mut process = self.spawn(name, command, true)?;
        let out = process.0.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(out).lines();
        let said = async {
            // TensorZero logs to standard output before that.
            while let Some(line) = lines.next_line().await? {
                if line.starts_with("http://") || line.starts_with('{') {
                    return Ok(line);
                }
            }
            bail!("it ended: see {}", self.log(name).display())
        };
        let line = timeout(PATIENCE, said).await.context("it did not get ready")??;
        // Whatever else it says, it must not stop at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((process, line))
    }

    /// What gateways write of their own goes to a file, and costs them what it costs them.
    fn spawn(&self, name: &str, command: &mut Command, says_when_ready: bool) -> anyhow::Result<Process> {
        let log = std::fs::File::create(self.log(name))?;
        let out = if says_when_ready { Stdio::piped() } else { log.try_clone()?.into() };
        let child = command.stdin(Stdio::piped()).stdout(out).stderr(log).spawn();
        child.map(Process).with_context(|| format!("{name} cannot be started"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.work.join(format!("{name}.log"))
    }
}

/// Starts the mock as a process of its own.
pub(crate) async fn mock(words: usize, gap: Duration) -> anyhow::Result<(Child, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["mock", "--words", &words.to_string(), "--gap-ms", &gap.as_millis().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn()?;
    let out = process.stdout.take().context("no standard output")?;
    let line = BufReader::new(out).lines().next_line().await?.context("the mock did not start")?;
    let line: serde_json::Value = serde_json::from_str(&line)?;
    Ok((process, line["listening"].as_str().context("the mock does not say where it listens")?.parse()?))
}

fn gateway(name: &'static str, version: String, target: Target, process: Process) -> Gateway {
    Gateway { name, version, target, pid: process.0.id(), process: Some(process) }
}

/// What a command prints, on either output.
async fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().await?;
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(text));
    }
    Ok(String::from_utf8_lossy(text).trim().to_owned())
}

fn addr(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.trim().strip_prefix("http://").context("it does not say where it listens")?;
    Ok(rest.split('/').next().unwrap_or_default().parse()?)
}

async fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Waits until somebody listens there.
async fn listening(addr: SocketAddr) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(addr).await.is_err() {
        if Instant::now() > end {
            bail!("nobody listens on {addr}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
