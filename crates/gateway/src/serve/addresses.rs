//! How many connections each address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses that have connections. Memory: one entry per address with an open connection.
#[derive(Default)]
pub(super) struct Addresses(Mutex<HashMap<IpAddr, Held>>);

#[derive(Default)]
struct Held {
    connections: usize,
    /// Whether the log has a line on it; once it has none open, there may be another line.
    told: bool,
}

/// A connection that counts for its address.
pub(super) struct Place {
    addresses: Arc<Addresses>,
    network: IpAddr,
}

impl Addresses {
    /// Counts one more connection, unless the address has `most` already.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Place> {
        let network = network(address);
        let mut all = self.lock();
        let held = all.entry(network).or_default();
        if held.connections < most {
            held.connections += 1;
            return Some(Place { addresses: self.clone(), network });
        }
        if !std::mem::replace(&mut held.told, true) {
            tracing::warn!(%address, most, "an address has as many connections as server.max_connections_per_address allows: more are closed");
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.addresses.lock();
        if let Some(held) = all.get_mut(&self.network) {
            held.connections -= 1;
            if held.connections == 0 {
                all.remove(&self.network);
            }
        }
    }
}

/// What is taken for one client: of IPv6 the /64 network, all of whose addresses one machine may have.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_gives_them_back() {
        let addresses = Arc::<Addresses>::default();
        let enter = |address: &str| addresses.enter(address.parse().unwrap(), 2);
        let (one, two) = (enter("10.0.0.1"), enter("::ffff:10.0.0.1"));
        assert!(one.is_some() && two.is_some() && enter("10.0.0.1").is_none() && enter("10.0.0.2").is_some());
        drop(one);
        assert!(enter("10.0.0.1").is_some());
        let network = [enter("2001:db8::1"), enter("2001:db8::2:0:0:1")];
        assert!(network.iter().all(Option::is_some) && enter("2001:db8::ffff").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop((two, network));
        assert!(addresses.lock().is_empty(), "who has gone takes no memory");
    }
}
