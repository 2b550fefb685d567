//! Host ports: the wished one when it is free, another one otherwise.
//!
//! A port is found free by binding it for a moment. Another process can take it before QEMU does; QEMU then says so and
//! the run fails with its words.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;

use model::definition::Protocol;

use crate::error::{MachineError, io as io_error};
use crate::note::Note;
use crate::plan::{Forward, HostPort};

/// A forward with a host port that was free just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenForward {
    /// Port on 127.0.0.1.
    pub host: u16,
    /// Port of the appliance.
    pub guest: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Chooses host ports for all forwards; no two get the same one.
pub fn choose(forwards: &[Forward], notes: &dyn Fn(Note)) -> Result<Vec<OpenForward>, MachineError> {
    // Held until all are chosen, so that no port is given out twice.
    let mut held = Vec::new();
    let mut chosen = Vec::new();
    for forward in forwards {
        let wished = match forward.host {
            HostPort::Any => 0,
            HostPort::Wished(port) => port,
        };
        let (port, holder) = match bind(forward.protocol, wished) {
            Ok(found) => found,
            // A port below 1024 an ordinary user may not have is as good as taken.
            Err(_) if wished != 0 => {
                let found = bind(forward.protocol, 0)
                    .map_err(io_error("find a free port on", Path::new("127.0.0.1")))?;
                notes(Note::PortTaken { wished, chosen: found.0, guest: forward.guest });
                found
            }
            Err(error) => return Err(io_error("find a free port on", Path::new("127.0.0.1"))(error)),
        };
        held.push(holder);
        chosen.push(OpenForward { host: port, guest: forward.guest, protocol: forward.protocol });
    }
    Ok(chosen)
}

/// A TCP port of 127.0.0.1 that is free now.
pub fn free() -> io::Result<u16> {
    Ok(bind(Protocol::Tcp, 0)?.0)
}

enum Holder {
    Tcp { _listener: TcpListener },
    Udp { _socket: UdpSocket },
}

fn bind(protocol: Protocol, port: u16) -> io::Result<(u16, Holder)> {
    let address = (Ipv4Addr::LOCALHOST, port);
    match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(address)?;
            Ok((listener.local_addr()?.port(), Holder::Tcp { _listener: listener }))
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(address)?;
            Ok((socket.local_addr()?.port(), Holder::Udp { _socket: socket }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_taken_port_is_replaced_and_told() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let wished = taken.local_addr().expect("address").port();
        let forward = |host, guest| Forward { host, guest, protocol: Protocol::Tcp };
        let notes = RefCell::new(Vec::new());
        let chosen = choose(
            &[forward(HostPort::Wished(wished), 443), forward(HostPort::Any, 80), forward(HostPort::Any, 81)],
            &|note| notes.borrow_mut().push(note),
        )
        .expect("chooses");
        let mut ports: Vec<_> = chosen.iter().map(|forward| forward.host).collect();
        assert!(!ports.contains(&wished) && !ports.contains(&0));
        ports.dedup();
        assert_eq!(ports.len(), 3);
        assert_eq!(*notes.borrow(), [Note::PortTaken { wished, chosen: chosen[0].host, guest: 443 }]);
    }
}
