use serde::{Deserialize, Serialize};

struct Plain;

#[derive(Serialize, Deserialize)]
struct Sent;

#[procession::task]
fn argument(_sent: Sent, _plain: Plain) {}

#[procession::task]
fn result(_: u64) -> Plain {
    Plain
}

#[procession::task]
async fn io(_: String) -> Result<u64, std::io::Error> {
    Ok(0)
}

fn main() {}
