//! Which networks requests come from, in bounded memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// How many networks are told apart: some 50 bytes each, twice that while the table grows.
pub(super) const TOLD_APART: usize = 1024;
/// How many of them are named.
pub(super) const WORST: usize = 5;

/// What one customer of a provider usually has: whoever has one address has all of these.
const IPV4_PREFIX: u8 = 24;
const IPV6_PREFIX: u8 = 56;

/// Counts by network.
///
/// When there are more than [`TOLD_APART`], the counts are lower bounds, as Misra and Gries have it:
/// one that comes when all places are taken takes one from each of the others, and a network that has
/// none left makes room. So whoever sends more than a 1,025th of all is there, whenever they began,
/// and misses at most as much.
#[derive(Default)]
pub(super) struct Networks {
    counts: HashMap<IpNet, u64>,
    seen: usize,
    is_lower_bound: bool,
}

// === impl Networks ===

impl Networks {
    pub(super) fn count(&mut self, client: IpAddr) {
        let network = network_of(client);
        if let Some(count) = self.counts.get_mut(&network) {
            *count += 1;
        } else if self.counts.len() < TOLD_APART {
            self.counts.insert(network, 1);
            self.seen = self.seen.max(self.counts.len());
        } else {
            self.is_lower_bound = true;
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// How many networks there were.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// Whether there were more than [`TOLD_APART`], so that all numbers are the least they can be.
    pub(super) fn is_lower_bound(&self) -> bool {
        self.is_lower_bound
    }

    /// Those with the greatest counts.
    pub(super) fn worst(&self) -> Vec<(IpNet, u64)> {
        let mut all: Vec<_> = self
            .counts
            .iter()
            .map(|(net, count)| (*net, *count))
            .collect();
        all.sort_unstable_by_key(|(net, count)| (Reverse(*count), *net));
        all.truncate(WORST);
        all
    }
}

fn network_of(client: IpAddr) -> IpNet {
    let prefix = match client {
        IpAddr::V4(_) => IPV4_PREFIX,
        IpAddr::V6(_) => IPV6_PREFIX,
    };
    IpNet::new_assert(client, prefix).trunc()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn worst(networks: &Networks) -> Vec<(String, u64)> {
        let worst = networks.worst();
        worst
            .iter()
            .map(|(net, count)| (net.to_string(), *count))
            .collect()
    }

    /// An address of the network number `n`.
    fn v6(n: u64) -> IpAddr {
        Ipv6Addr::from_bits((0x2001_0db8 << 96) + (u128::from(n) << 72) + 7).into()
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let mut networks = Networks::default();
        for address in [
            "192.0.2.1",
            "192.0.2.255",
            "192.0.3.1",
            "2001:db8:0:1::1",
            "2001:db8:0:ff::2",
        ] {
            networks.count(address.parse().unwrap());
        }
        let expected = [
            ("192.0.2.0/24", 2),
            ("2001:db8::/56", 2),
            ("192.0.3.0/24", 1),
        ];
        assert_eq!(
            worst(&networks),
            expected.map(|(net, count)| (net.to_owned(), count))
        );
        assert_eq!((networks.seen(), networks.is_lower_bound()), (3, false));
    }

    #[test]
    fn no_more_than_five_are_named() {
        let mut networks = Networks::default();
        for n in 1..=10_u8 {
            for _ in 0..n {
                networks.count(Ipv4Addr::new(10, n, 0, 1).into());
            }
        }
        let counts: Vec<_> = networks.worst().iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [10, 9, 8, 7, 6]);
        assert_eq!(networks.seen(), 10);
    }

    #[test]
    fn however_many_there_are_memory_is_bounded_and_the_worst_is_found() {
        let mut networks = Networks::default();
        // The worst begins when all places are taken.
        for n in 0..100_000 {
            networks.count(v6(n));
            if n > 50_000 && n % 100 == 0 {
                networks.count(v6(1 << 30));
            }
        }
        assert!(networks.counts.len() <= TOLD_APART);
        assert!(networks.is_lower_bound());
        assert_eq!(networks.seen(), TOLD_APART);
        let (worst, count) = networks.worst()[0];
        assert!(worst.contains(&v6(1 << 30)));
        assert!((400..=499).contains(&count), "{count}");
    }
}
