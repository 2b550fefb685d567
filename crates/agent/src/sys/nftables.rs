//! One question to nftables by netlink (`linux/netfilter/nf_tables.h`): starting `nft` for it would cost a process each time.

use std::io;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE`
const GET_TABLE: u16 = 10 << 8 | 1;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE`
const TABLE: u16 = 10 << 8;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NFPROTO_INET: u8 = 1;
/// `NFTA_TABLE_NAME`
const NAME: u16 = 1;

/// Whether the kernel has the table in family `inet`. A kernel without nftables has none.
pub fn has_table(name: &str) -> io::Result<bool> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
    send(&socket, &request(name), SendFlags::empty())?;
    let mut answer = [0u8; 4096];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    judge(&answer[..length])
}

fn request(name: &str) -> Vec<u8> {
    let attribute = 4 + name.len() + 1;
    let length = 16 + 4 + attribute.next_multiple_of(4);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(GET_TABLE.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and sender: one question on a socket of its own.
    bytes.extend([0; 8]);
    // `struct nfgenmsg`: family, version 0, resource 0.
    bytes.extend([NFPROTO_INET, 0, 0, 0]);
    bytes.extend((attribute as u16).to_ne_bytes());
    bytes.extend(NAME.to_ne_bytes());
    bytes.extend(name.as_bytes());
    bytes.resize(length, 0);
    bytes
}

fn judge(answer: &[u8]) -> io::Result<bool> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(TABLE), _) => Ok(true),
        (Some(NLMSG_ERROR), Some(error)) => match -error {
            // No such table; or, on a kernel where nothing has loaded nftables yet, no such subsystem.
            libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP => Ok(false),
            number => Err(io::Error::from_raw_os_error(number)),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_aligned_and_names_the_table() {
        let bytes = request("ampoule");
        assert_eq!((bytes.len() % 4, bytes.len()), (0, 32));
        assert_eq!(&bytes[..4], 32u32.to_ne_bytes());
        assert_eq!(&bytes[24..32], b"ampoule\0");
    }

    #[test]
    fn only_the_table_itself_counts_as_loaded() {
        let answer = |kind: u16, error: i32| {
            let mut bytes = vec![0; 20];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16..].copy_from_slice(&error.to_ne_bytes());
            bytes
        };
        assert!(judge(&answer(TABLE, 0)).expect("an answer"));
        assert!(!judge(&answer(NLMSG_ERROR, -libc::ENOENT)).expect("an answer"));
        assert!(judge(&answer(NLMSG_ERROR, -libc::EPERM)).is_err());
        assert!(judge(&[]).is_err());
    }
}
