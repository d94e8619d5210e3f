//! A network that fails: a port of this machine before a server's socket, through which bytes pass, come late, wait, or are lost.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Bytes read in one go.
const PIECE: usize = 16 << 10;

/// What becomes of bytes in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They pass.
    Open,
    /// Each passes, so much later.
    Late(Duration),
    /// They wait until the way is open again, as on a network that is mended before either side gives up. Nobody is told.
    Held,
    /// They are swallowed, and nobody is told. A connection that has lost something ends when the way is open again.
    Lost,
}

/// A way to a server and back.
#[derive(Debug)]
pub struct Link {
    addr: SocketAddr,
    ways: watch::Sender<[Way; 2]>,
    accepting: JoinHandle<()>,
}

type Ways = watch::Receiver<[Way; 2]>;

impl Link {
    /// Begins to listen before the server whose socket this is.
    ///
    /// # Panics
    /// If this machine gives no port.
    #[expect(clippy::panic, reason = "without a port there is nothing to test")]
    pub async fn before(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.unwrap_or_else(|error| panic!("a port: {error}"));
        let addr = listener.local_addr().unwrap_or_else(|error| panic!("a port: {error}"));
        let (ways, watched) = watch::channel([Way::Open; 2]);
        let accepting = tokio::spawn(accept(listener, socket.to_owned(), watched));
        Self { addr, ways, accepting }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on: what becomes of bytes to the server, and of those that come back from it.
    pub fn set(&self, there: Way, back: Way) {
        self.ways.send_replace([there, back]);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, ways: Ways) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(pass(near, socket.clone(), ways.clone()));
    }
}

/// Serves a connection until either side ends it.
async fn pass(near: TcpStream, socket: PathBuf, mut ways: Ways) {
    // It does not come to be while nothing passes.
    drop(near.set_nodelay(true));
    if ways.wait_for(|ways| ways.iter().all(|way| passes(*way))).await.is_err() {
        return;
    }
    let Ok(far) = UnixStream::connect(socket).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = carry(near_in, far_out, ways.clone(), 0) => {}
        () = carry(far_in, near_out, ways, 1) => {}
    }
}

fn passes(way: Way) -> bool {
    matches!(way, Way::Open | Way::Late(_))
}

/// Carries bytes one way until there are no more. Both ends of the connection are closed when this returns.
async fn carry(from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin, ways: Ways, place: usize) {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::join!(read(from, sender, ways.clone(), place), write(to, receiver, ways, place));
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    sender: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    mut ways: Ways,
    place: usize,
) {
    let mut piece = vec![0; PIECE];
    let mut is_whole = true;
    loop {
        let read = tokio::select! {
            read = from.read(&mut piece) => read,
            _ = ways.wait_for(|ways| ways[place] != Way::Lost), if !is_whole => return,
        };
        let Ok(read @ 1..) = read else { return };
        let way = ways.borrow()[place];
        is_whole &= way != Way::Lost;
        let late = if let Way::Late(late) = way { late } else { Duration::ZERO };
        if is_whole && sender.send((Instant::now() + late, piece[..read].to_vec())).is_err() {
            return;
        }
    }
}

async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut receiver: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut ways: Ways,
    place: usize,
) {
    while let Some((due, piece)) = receiver.recv().await {
        sleep_until(due).await;
        if ways.wait_for(|ways| passes(ways[place])).await.is_err() || to.write_all(&piece).await.is_err() {
            return;
        }
    }
    // Nor does the end pass while nothing does.
    drop(ways.wait_for(|ways| passes(ways[place])).await);
    drop(to.shutdown().await);
}
