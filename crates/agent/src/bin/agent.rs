//! The agent of an appliance. See [`agent`].

fn main() {}
