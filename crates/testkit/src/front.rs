//! A load balancer: one address before several servers, which are taken out and put in while clients come.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to servers by turns. A client that connects while there is none waits, and one whose server does not listen is
/// passed on to another: the connection is made once the client's first bytes are there, and nothing has been sent by then.
#[derive(Debug)]
pub struct Front {
    addr: SocketAddr,
    servers: watch::Sender<Vec<SocketAddr>>,
    accepting: JoinHandle<()>,
}

impl Front {
    /// Begins to listen, before no server yet.
    ///
    /// # Panics
    /// If this machine gives no port.
    #[expect(clippy::panic, reason = "without a port there is nothing to test")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.unwrap_or_else(|error| panic!("a port: {error}"));
        let addr = listener.local_addr().unwrap_or_else(|error| panic!("a port: {error}"));
        let (servers, watched) = watch::channel(Vec::new());
        Self { addr, servers, accepting: tokio::spawn(accept(listener, watched)) }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on new connections go to this server as well.
    pub fn add(&self, server: SocketAddr) {
        self.servers.send_modify(|servers| servers.push(server));
    }

    /// From now on no new connection goes to this server; those that are open stay.
    pub fn remove(&self, server: SocketAddr) {
        self.servers.send_modify(|servers| servers.retain(|known| *known != server));
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, servers: watch::Receiver<Vec<SocketAddr>>) {
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(pass(client, servers.clone(), turn.clone()));
    }
}

/// Serves a connection until both sides have ended it. An error of one side ends it at the other.
async fn pass(
    mut client: TcpStream,
    mut servers: watch::Receiver<Vec<SocketAddr>>,
    turn: Arc<AtomicUsize>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.readable().await?;
    let mut server = loop {
        let Ok(known) = servers.wait_for(|servers| !servers.is_empty()).await.map(|known| known.clone()) else {
            return Ok(());
        };
        let server = known[turn.fetch_add(1, Ordering::Relaxed) % known.len()];
        match TcpStream::connect(server).await {
            Ok(server) => break server,
            // It is about to be taken out.
            Err(_) => tokio::task::yield_now().await,
        }
    };
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
