//! The binary `slarouter`.

fn main() {}
