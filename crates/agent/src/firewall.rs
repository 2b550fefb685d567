//! The firewall: closed but for declared ports, as text for `nft`.

use std::fmt::Write as _;

use model::definition::{Port, Protocol};

/// Where systemd's `nftables.service` reads it.
pub const PATH: &str = "/etc/nftables.conf";

/// Name of the table in family `inet`.
pub const TABLE: &str = "ampoule";

/// The whole rule set.
pub fn render(ports: &[Port]) -> String {
    let mut text = String::from(
        "#!/usr/sbin/nft -f
# Rendered from the declared ports at every boot.
flush ruleset
table inet ampoule {
    chain input {
        type filter hook input priority filter; policy drop;
        iif \"lo\" accept
        ct state established,related accept
        ct state invalid drop
        meta l4proto { 1, 58 } accept comment \"ICMP and ICMPv6, by number: names need /etc/protocols\"
        udp sport 67 udp dport 68 accept comment \"DHCP replies\"
        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment \"DHCPv6 replies\"
",
    );
    for port in ports {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let purpose = comment(&port.purpose);
        let _infallible =
            writeln!(text, "        {protocol} dport {} accept comment \"{purpose}\"", port.port);
    }
    text.push_str("    }\n    chain forward {\n        type filter hook forward priority filter; policy drop;\n    }\n}\n");
    text
}

/// A text that can not end the comment it is in, cut to nft's limit of 128 bytes.
fn comment(text: &str) -> String {
    text.chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || " .,:-_/()".contains(*letter))
        .take(100)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_ports_are_open() {
        let port = |port, protocol, purpose: &str| Port {
            port,
            protocol,
            purpose: purpose.to_owned(),
            url_scheme: None,
        };
        let text = render(&[port(443, Protocol::Tcp, "web \" } accept\n"), port(514, Protocol::Udp, "logs")]);
        assert!(text.contains(&format!("table inet {TABLE} {{\n")) && text.contains("policy drop;"));
        assert!(text.contains("        tcp dport 443 accept comment \"web   accept\"\n"));
        assert!(text.contains("        udp dport 514 accept comment \"logs\"\n"));
        assert_eq!(text.matches("dport").count(), 4);
    }
}
