//! An address range, as in `192.0.2.0/24`.

use std::net::IpAddr;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    length: u32,
}

impl Network {
    /// Refuses an address inside of a network: whoever writes one has mistaken the length or the address.
    pub fn parse(text: &str) -> Result<Network, String> {
        let read = || {
            let (address, length) = text.split_once('/')?;
            let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse().ok()?);
            (length <= width(address)).then_some((address, length))
        };
        let (address, length) = read().ok_or_else(|| format!("`{text}` is not a network"))?;
        let first = masked(address, length);
        match first == address {
            true => Ok(Network { first, length }),
            false => Err(format!("`{text}` is an address inside of the network {first}/{length}")),
        }
    }

    /// Whether an address is in it. An IPv4 address may come in its IPv6 form.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.first) && masked(address, self.length) == self.first
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(four) => {
            IpAddr::V4((four.to_bits() & u32::MAX.checked_shl(32 - length).unwrap_or(0)).into())
        }
        IpAddr::V6(six) => {
            IpAddr::V6((six.to_bits() & u128::MAX.checked_shl(128 - length).unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_its_own_addresses() {
        let network = Network::parse("192.0.2.0/25").unwrap();
        assert!(network.contains(address("192.0.2.127")) && network.contains(address("::ffff:192.0.2.1")));
        assert!(!network.contains(address("192.0.2.128")) && !network.contains(address("::1")));
        assert!(Network::parse("0.0.0.0/0").unwrap().contains(address("203.0.113.9")));
        assert!(Network::parse("2001:db8::/32").unwrap().contains(address("2001:db8:1::5")));
    }

    #[test]
    fn an_address_inside_of_a_network_is_refused_with_the_network() {
        assert!(Network::parse("192.0.2.9/24").is_err_and(|why| why.contains("192.0.2.0/24")));
        assert!(Network::parse("192.0.2.0/33").is_err());
    }
}
