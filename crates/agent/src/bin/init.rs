//! The first program of an appliance, in the initrd. See [`agent::init`].

fn main() {
    agent::init::main()
}
