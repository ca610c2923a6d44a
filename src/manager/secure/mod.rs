//! Who is there, and who may come in: addresses, keys, the handshake; and the authenticated stream that it leaves.

mod line;

pub(crate) use line::{Incoming, Line, Outgoing};
