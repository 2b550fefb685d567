//! What runs and what answers: ports, sockets, firewall, services, timers.

use std::collections::BTreeMap;

use model::Definition;
use model::definition::Protocol;
use tree::Node;

use super::privileges::{file_item, origin};
use super::{compared, topic};
use crate::facts::{Change, Files, Item, Nature, Topic, TopicId};
use crate::side::Side;

const FOLDERS: [&str; 2] = ["usr/lib/systemd/system", "etc/systemd/system"];

/// Declared ports, listening sockets of systemd, firewall files.
pub fn network(old: &Side<'_>, new: &Side<'_>, files: &Files) -> Topic {
    let (before, after) = (ports(old.definition.as_ref()), ports(new.definition.as_ref()));
    let (sockets_before, sockets_after) = (sockets(old), sockets(new));
    let count = before.len() + sockets_before.len();
    let mut items = super::between(&before, &after);
    items.extend(super::between(&sockets_before, &sockets_after));
    let mut items: Vec<Item> = items
        .into_iter()
        .map(|item| {
            let widens = item.change != Change::Removed;
            item.widening(widens)
        })
        .collect();
    let is_firewall = |path: &str| {
        ["/etc/nftables", "/etc/iptables", "/etc/ufw/", "/etc/firewalld/", "/etc/hosts.allow"]
            .iter()
            .any(|prefix| path.starts_with(prefix))
    };
    items.extend(
        files
            .changes
            .iter()
            .filter(|file| is_firewall(&file.path))
            .map(|file| file_item(file, Some("firewall".to_owned())).widening(file.nature != Nature::Added)),
    );
    topic(
        TopicId::Network,
        "Ports, sockets, firewall",
        compared(count, after.len() + sockets_after.len(), "way in", "ways in"),
        items,
    )
}

fn ports(definition: Option<&Definition>) -> BTreeMap<String, String> {
    let port = |port: &model::definition::Port| {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        (format!("port {}/{protocol}", port.port), port.purpose.clone())
    };
    definition.iter().flat_map(|definition| &definition.ports).map(port).collect()
}

/// `ListenStream=` and the like of socket units that are not masked, other than paths of local sockets.
fn sockets(side: &Side<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, unit) in units(side) {
        if !name.ends_with(".socket") || unit.state == "masked" {
            continue;
        }
        let text = FOLDERS
            .iter()
            .rev()
            .find_map(|folder| side.text(&format!("{folder}/{name}")))
            .unwrap_or_default();
        let listens: Vec<&str> = text
            .lines()
            .filter_map(|line| {
                let (key, value) = line.trim().split_once('=')?;
                let is_network = matches!(key, "ListenStream" | "ListenDatagram" | "ListenSequentialPacket")
                    && !value.starts_with(['/', '@', '%'])
                    && !value.is_empty();
                is_network.then_some(value)
            })
            .collect();
        if !listens.is_empty() {
            found.insert(format!("socket {name}"), format!("{}, {}", listens.join(" "), unit.state));
        }
    }
    found
}

/// Services that came, went, or are started otherwise.
pub fn services(old: &Side<'_>, new: &Side<'_>) -> Topic {
    of_kind(old, new, TopicId::Services, "Services", ("service", "services"), |name| {
        !name.ends_with(".timer") && !name.ends_with(".socket")
    })
}

/// The same for timers.
pub fn timers(old: &Side<'_>, new: &Side<'_>) -> Topic {
    of_kind(old, new, TopicId::Timers, "Timers", ("timer", "timers"), |name| name.ends_with(".timer"))
}

fn of_kind(
    old: &Side<'_>,
    new: &Side<'_>,
    id: TopicId,
    title: &str,
    (one, many): (&str, &str),
    is_kind: impl Fn(&str) -> bool,
) -> Topic {
    let (before, after) = (units(old), units(new));
    let names: std::collections::BTreeSet<&String> =
        before.keys().chain(after.keys()).filter(|name| is_kind(name)).collect();
    let (mut items, mut counts) = (Vec::new(), (0, 0));
    for name in names {
        let (one, other) = (before.get(name), after.get(name));
        counts.0 += usize::from(one.is_some());
        counts.1 += usize::from(other.is_some());
        let starts = |unit: Option<&Unit>| unit.is_some_and(|unit| unit.state.starts_with("started"));
        let text = |unit: Option<&Unit>| unit.map(|unit| unit.state.to_owned());
        let change = Item::between(name, text(one), text(other));
        // The same state, other text.
        let change = change.or_else(|| {
            let ((one, _), (other, _)) = (one?.text.as_ref()?, other?.text.as_ref()?);
            (one != other).then(|| Item {
                what: name.clone(),
                change: Change::Changed,
                old: None,
                new: Some("its text changed, see the files".to_owned()),
                origin: None,
                widens: false,
            })
        });
        let path =
            |unit: Option<&Unit>| unit.and_then(|unit| unit.text.as_ref()).map(|(_, path)| path.clone());
        let from = path(other)
            .and_then(|path| origin(new, &path))
            .or_else(|| path(one).and_then(|path| origin(old, &path)));
        items.extend(change.map(|item| item.from(from).widening(starts(other) && !starts(one))));
    }
    topic(id, title, compared(counts.0, counts.1, one, many), items)
}

/// A systemd unit.
struct Unit {
    /// What becomes of it at boot.
    state: &'static str,
    /// Digest of its text, and where it is.
    text: Option<(String, String)>,
}

fn units(side: &Side<'_>) -> BTreeMap<String, Unit> {
    let mut found: BTreeMap<String, Unit> = BTreeMap::new();
    for folder in FOLDERS {
        for (path, entry) in side.below(folder) {
            let depth = path.as_str()[folder.len()..].matches('/').count();
            let name = path.name().to_owned();
            let masked = matches!(&entry.node, Node::Symlink { target } if target == "/dev/null");
            let state = if depth == 1 && entry.node != Node::Directory {
                if masked { "masked" } else { "there, started by nothing" }
            } else if depth == 2
                && path.parent().is_some_and(|parent| {
                    parent.name().ends_with(".wants") || parent.name().ends_with(".requires")
                })
            {
                if folder.starts_with("etc") { "started at boot" } else { "started by its package" }
            } else {
                continue;
            };
            let unit = found.entry(name).or_insert(Unit { state, text: None });
            // A mask beats everything, and a link that starts it beats a mere file.
            if rank(state) > rank(unit.state) {
                unit.state = state;
            }
            if depth == 1
                && let Some(content) = side.content(path)
            {
                unit.text = Some((content.sha256.to_string(), path.to_string()));
            }
        }
    }
    found
}

fn rank(state: &str) -> u8 {
    match state {
        "masked" => 3,
        "started at boot" => 2,
        "started by its package" => 1,
        _ => 0,
    }
}
