//! What is said on a new connection, before anybody else uses it: one request, one answer at a time.

use std::io;
use std::time::{Duration, Instant};

use super::site::Way;
use crate::frame::{self, Decoder, FrameError, Header, Kind};
use crate::manager::ManagerError;
use crate::manager::protocol::{ObjectId, PROTOCOL, decode_reply};
use crate::manager::secure::{Line, Pace};
use crate::manager::store::{RootOp, Welcome};
use crate::pipe::reactor::For;
use crate::sys;
use crate::wire::{self, Handle};

/// No answer to a greeting is longer.
const MAX_GREETING: u64 = 4096;

/// How the other side is waited for, and how long.
#[derive(Clone, Copy)]
struct Wait {
    pace: Pace,
    deadline: Option<Instant>,
}

impl Wait {
    async fn until_ready(self, socket: &Handle, awaited: For) -> io::Result<()> {
        let ready = self.pace.ready(socket, awaited, self.deadline);
        match ready.await? {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// A new connection, on which the server has said who it is, and has done one thing more that was asked.
pub(super) async fn greet(
    way: &Way,
    also: Option<RootOp>,
    limit: Duration,
    pace: Pace,
) -> Result<(Line, Welcome), ManagerError> {
    let deadline = sys::deadline_after(limit);
    let mut line = way.dial(limit, pace).await?;
    let mut decoder = Decoder::new(MAX_GREETING);
    let hello = RootOp::Hello { protocol: PROTOCOL };
    let wait = Wait { pace, deadline };
    let answer = ask(way, &mut line, &mut decoder, &hello, wait).await?;
    let welcome: Welcome = wire::decode(&answer).map_err(|error| way.lost(invalid(error)))?;
    if let Some(op) = also {
        ask(way, &mut line, &mut decoder, &op, wait).await?;
    }
    Ok((line, welcome))
}

/// What holds an object for a connection; the server itself needs nobody for that.
pub(super) fn hold_request(object: ObjectId) -> Option<RootOp> {
    (object != ObjectId::ROOT).then_some(RootOp::Hold { object })
}

async fn ask(
    way: &Way,
    line: &mut Line,
    decoder: &mut Decoder,
    op: &RootOp,
    wait: Wait,
) -> Result<Vec<u8>, ManagerError> {
    let mut request = Vec::new();
    let start = frame::begin(&mut request);
    wire::encode(&ObjectId::ROOT, &mut request)
        .and_then(|()| wire::encode(op, &mut request))
        .map_err(|error| way.lost(invalid(error)))?;
    frame::finish(&mut request, start, Header::new(Kind::Request, 0, 0));
    let payload = exchange(line, decoder, request, wait).await;
    let payload = payload.map_err(|error| way.lost(error))?;
    let replied = decode_reply(&payload).map_err(|error| way.lost(invalid(error)))?;
    Ok(replied.answer?.to_vec())
}

async fn exchange(
    line: &mut Line,
    decoder: &mut Decoder,
    request: Vec<u8>,
    wait: Wait,
) -> io::Result<Vec<u8>> {
    line.outgoing.push(request);
    while !line.outgoing.flush()? {
        wait.until_ready(&line.socket, For::Room).await?;
    }
    loop {
        if let Some(frame) = decoder.next().map_err(invalid)? {
            if frame.header.kind != Kind::Reply {
                return Err(invalid(FrameError::Unexpected(frame.header.kind)));
            }
            return Ok(frame.payload.into_owned());
        }
        match decoder.read_from(&mut &mut line.incoming) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait.until_ready(&line.socket, For::Message).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
