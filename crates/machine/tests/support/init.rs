//! The first process of the smoke test's machine: shows that the kernel got this far.
fn main() {
    println!("smoke test: init runs");
    println!("{}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    loop {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}
