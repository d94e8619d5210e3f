//! What is listened on: sockets that were handed over, as by a socket unit of systemd, and those that are opened here.
//!
//! A socket that was handed over is held by others as well, so that it outlives the process: who connects while no gateway runs waits in
//! its queue instead of being refused. The protocol is that of `sd_listen_fds(3)`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use listenfd::ListenFd;
use slarouter_config::Config;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted, of which Linux takes no more than `net.core.somaxconn`, 4,096 as it comes. Of those beyond,
/// the first packet is dropped and sent again a second later: with the usual 128 a burst of others would make a client wait for seconds.
const BACKLOG: u32 = 4_096;

/// Listening sockets that whoever started this process has opened for it.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, std::net::TcpListener)>);

/// Why sockets that were handed over cannot be used. Who set up the hand-over, or the configuration, is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InheritedError {
    /// It is no socket, not of TCP, or does not listen.
    #[error(
        "socket {number} of the {count} that were handed over (LISTEN_FDS) cannot be listened on: {source}: a socket unit needs \
         ListenStream= with an IP address and a port, and no Accept=yes"
    )]
    Unfit {
        /// Which one, from 1.
        number: usize,
        /// How many there are.
        count: usize,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Clients who connect to it would wait for ever.
    #[error(
        "the socket {addr} was handed over (LISTEN_FDS, file descriptor {fd}), and no setting names that address: server.listen is {listen}{}: \
         write the same address into the configuration and into ListenStream= of the socket unit",
        admin_listen.map(|addr| format!(" and server.admin_listen {addr}")).unwrap_or_default()
    )]
    Unnamed {
        /// Its address.
        addr: SocketAddr,
        /// Its number in this process.
        fd: RawFd,
        /// Of the configuration.
        listen: SocketAddr,
        /// Of the configuration.
        admin_listen: Option<SocketAddr>,
    },
}

impl Inherited {
    /// Takes what `LISTEN_FDS` and `LISTEN_PID` say was handed over; there is nothing to be had a second time. To be called while the
    /// process has no other work, as it changes the environment.
    ///
    /// # Errors
    /// [`InheritedError::Unfit`].
    pub fn from_env() -> Result<Self, InheritedError> {
        let mut handed = ListenFd::from_env();
        let count = handed.len();
        let mut listeners = Vec::with_capacity(count);
        for place in 0..count {
            let listener = handed.take_tcp_listener(place).and_then(listening);
            let listener = listener.map_err(|source| InheritedError::Unfit { number: place + 1, count, source })?;
            listeners.extend(listener);
        }
        Ok(Self(listeners))
    }

    /// Whether each of them is named by the configuration.
    ///
    /// # Errors
    /// [`InheritedError::Unnamed`].
    pub fn check(&self, config: &Config) -> Result<(), InheritedError> {
        let (listen, admin_listen) = (config.server.listen, config.server.admin_listen);
        let unnamed = self.0.iter().find(|(addr, _)| *addr != listen && Some(*addr) != admin_listen);
        unnamed.map_or(Ok(()), |(addr, listener)| {
            Err(InheritedError::Unnamed { addr: *addr, fd: listener.as_raw_fd(), listen, admin_listen })
        })
    }

    /// The socket with this address, or else a new one.
    ///
    /// # Errors
    /// If that address cannot be listened on, as where the port is taken.
    pub(super) fn or_bind(&mut self, addr: SocketAddr) -> io::Result<Socket> {
        let Some(place) = self.0.iter().position(|(known, _)| *known == addr) else {
            return Ok(Socket { listener: bind(addr)?, outlives: false });
        };
        let (_, listener) = self.0.swap_remove(place);
        listener.set_nonblocking(true)?;
        Ok(Socket { listener: TcpListener::from_std(listener)?, outlives: true })
    }
}

/// A socket that is listened on.
pub(crate) struct Socket {
    pub(super) listener: TcpListener,
    /// Whether others hold it as well: who waits in its queue when this process ends is served by the next one.
    pub(super) outlives: bool,
}

impl Socket {
    /// Its address; the port is known even if the configuration said 0.
    pub(super) fn addr(&self, configured: SocketAddr) -> SocketAddr {
        self.listener.local_addr().unwrap_or(configured)
    }
}

/// The socket with its address, if it listens.
fn listening(listener: Option<std::net::TcpListener>) -> io::Result<Option<(SocketAddr, std::net::TcpListener)>> {
    let Some(listener) = listener else { return Ok(None) };
    if !SockRef::from(&listener).is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    Ok(Some((listener.local_addr()?, listener)))
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart does not wait for connections that have ended.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    fn handed() -> (SocketAddr, std::net::TcpListener) {
        listening(Some(std::net::TcpListener::bind(any()).unwrap())).unwrap().unwrap()
    }

    fn config(listen: SocketAddr, more: &str) -> Config {
        let text = format!(
            "[server]\nlisten = \"{listen}\"\n{more}\n[[models]]\nname = \"small\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
             price = {{ input = 1, output = 1 }}\n[routes.default]\nmodels = [\"small\"]\nsla = {{ satisfaction = 0.9 }}\n"
        );
        Config::parse(&text, &|_: &str| None).unwrap()
    }

    #[tokio::test]
    async fn each_listener_has_the_socket_of_its_address_and_others_are_opened() {
        let (public, operator) = (handed(), handed());
        let (addr, admin) = (public.0, operator.0);
        let mut inherited = Inherited(vec![operator, public]);
        inherited.check(&config(addr, &format!("admin_listen = \"{admin}\""))).unwrap();
        for wanted in [addr, admin] {
            let socket = inherited.or_bind(wanted).unwrap();
            assert!(socket.outlives && socket.addr(any()) == wanted);
        }
        let own = inherited.or_bind(any()).unwrap();
        assert!(!own.outlives && own.addr(any()).port() != 0);
    }

    #[test]
    fn a_socket_that_no_setting_names_is_refused_with_all_addresses() {
        let (addr, listener) = handed();
        let said = Inherited(vec![(addr, listener)]).check(&config(any(), "admin_listen = \"127.0.0.1:1\""));
        let said = said.unwrap_err().to_string();
        let named = [&addr.to_string(), "127.0.0.1:0", "server.admin_listen 127.0.0.1:1", "ListenStream="];
        assert!(named.iter().all(|named| said.contains(*named)), "{said}");
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let listener = std::net::TcpListener::bind(any()).unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = std::net::TcpListener::from(std::os::fd::OwnedFd::from(stream));
        assert!(listening(Some(stream)).unwrap_err().to_string().contains("does not listen"));
    }

    /// Without a place in the queue the first packet of a connection is dropped, and sent again in vain.
    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_accepted() {
        let listener = bind(any()).unwrap();
        let addr = listener.local_addr().unwrap();
        let connect = || timeout(Duration::from_secs(60), TcpStream::connect(addr));
        let mut waiting = Vec::new();
        while waiting.len() < 500 {
            waiting.push(connect().await.unwrap().unwrap());
        }
        assert_eq!(listener.accept().await.unwrap().1, waiting[0].local_addr().unwrap());
    }
}
