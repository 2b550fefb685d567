//! How much a client takes from outside.

/// Limits of one update. Each stops an attack that needs no key.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of a root (5.3.3, W). Stops endless data in the place of a root.
    pub root: u64,
    /// Most bytes of a timestamp (5.4.1, X). Stops endless data in the place of a timestamp.
    pub timestamp: u64,
    /// Most bytes of a snapshot, whatever the timestamp says (5.5.1, Y). Stops endless data, also from a thief of the timestamp key.
    pub snapshot: u64,
    /// Most bytes of a targets document, whatever the snapshot says (5.6.1, Z). Stops endless data, also from a thief of the snapshot key.
    pub targets: u64,
    /// Most roots of one update (5.3.3, Y). Stops a thief of root keys from keeping a client busy for ever.
    pub roots: u64,
    /// Most roles asked about one target (5.6.7.1). Stops delegations that lead a client on without end.
    pub roles: usize,
}

impl Limits {
    /// Room for roots with dozens of keys and for thousands of targets.
    pub const DEFAULT: Self = Self {
        root: 512 << 10,
        timestamp: 16 << 10,
        snapshot: 1 << 20,
        targets: 4 << 20,
        roots: 1024,
        roles: 32,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
