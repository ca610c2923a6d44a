#[procession::main]
async fn main() {}
