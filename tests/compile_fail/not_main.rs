#[procession::main]
fn start() {}
