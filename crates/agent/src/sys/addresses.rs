//! Addresses of this machine (getifaddrs(3)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses with prefix lengths, without loopback and link-local ones, IPv4 first.
pub fn addresses() -> io::Result<Vec<(IpAddr, u32)>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // JUSTIFICATION: sysfs does not show addresses, and netlink would be a dependency.
    // SAFETY: `list` receives a list that the C library owns until `freeifaddrs`.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // JUSTIFICATION: see above.
        // SAFETY: every entry of the list, and what it points to, is valid until `freeifaddrs`.
        let (address, mask, next) =
            unsafe { (ip(((*entry).ifa_addr).cast()), ip(((*entry).ifa_netmask).cast()), (*entry).ifa_next) };
        if let (Some(address), Some(mask)) = (address, mask) {
            let prefix = match mask {
                IpAddr::V4(mask) => mask.to_bits().count_ones(),
                IpAddr::V6(mask) => mask.to_bits().count_ones(),
            };
            found.push((address, prefix));
        }
        entry = next;
    }
    // JUSTIFICATION: see above.
    // SAFETY: the list came from `getifaddrs`, and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    found.retain(|(address, _)| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    });
    found.sort();
    Ok(found)
}

/// # Safety
/// `address` is null or points to a socket address of the family it names.
unsafe fn ip(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // JUSTIFICATION: see above.
    // SAFETY: the caller promises that the address is of its family, whose structure is read without assuming alignment.
    unsafe {
        match i32::from(address.read_unaligned().sa_family) {
            libc::AF_INET => {
                let address = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr))))
            }
            libc::AF_INET6 => {
                let address = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn loopback_is_not_an_address_people_can_use() {
        let addresses = super::addresses().expect("the C library answers");
        assert!(addresses.iter().all(|(address, _)| !address.is_loopback()));
    }
}
