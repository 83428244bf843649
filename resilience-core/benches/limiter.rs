//! What an admission costs.
fn main() {}
