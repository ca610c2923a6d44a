//! What must hold of the assembler for any packets whatsoever: for the fuzzer, and for the property tests.

use super::assembler::{Assembler, Came, MAX_PARTIAL, Step};
use super::error::RecvError;
use super::packet::{HEADER_LEN, MAX_PART};

/// Takes a packet as it would come out of a socket: into the room that there is, and then into scratch memory. `None`: it is too
/// short to get that far.
pub(super) fn feed<H>(
    assembler: &mut Assembler<H>,
    packet: &[u8],
    handles: Vec<H>,
    scratch: &mut [u8],
    max_message: u64,
) -> Option<Step<H>> {
    let (head, bytes) = packet.split_first_chunk::<HEADER_LEN>()?;
    let room = assembler.room();
    let (in_room, spilled) = bytes.split_at(bytes.len().min(room.len()));
    room[..in_room.len()].copy_from_slice(in_room);
    scratch[..spilled.len()].copy_from_slice(spilled);
    let came = Came {
        head,
        len: bytes.len(),
        scratch,
        handles,
        has_lost_handles: false,
    };
    Some(assembler.accept(came, max_message))
}

/// The first byte chooses `max_message`. Then packets: two bytes for the length, one for how many descriptors are beside it, and the packet.
pub(crate) fn fuzz(data: &[u8]) {
    let Some((limit, mut rest)) = data.split_first() else {
        return;
    };
    let max_message = [0, 16, 100, 10_000, 1 << 20, 1 << 40, u64::MAX][usize::from(limit % 7)];
    let mut assembler = Assembler::<()>::default();
    let mut scratch = vec![0; MAX_PART];
    let mut came = 0;
    while let Some(([low, high, beside], more)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let (packet, more) = more.split_at(len);
        rest = more;
        let handles = vec![(); usize::from(*beside)];
        let Some(step) = feed(&mut assembler, packet, handles, &mut scratch, max_message) else {
            continue;
        };
        came += packet.len() - HEADER_LEN;
        match step {
            Step::Small { len, .. } => {
                assert_eq!(scratch[..len], packet[HEADER_LEN..]);
                assert!(len as u64 <= max_message);
            }
            Step::Large { payload, .. } => {
                assert!(payload.len() <= came && payload.len() as u64 <= max_message);
            }
            Step::Failed(error) => assert!(error.is_about_one_message()),
            Step::More => {}
        }
        assert!(
            assembler.allocated() <= 2 * (came + MAX_PARTIAL * MAX_PART),
            "memory follows the bytes that came"
        );
    }
    let mut cut = 0;
    while matches!(assembler.end(), RecvError::Cut { .. }) {
        cut += 1;
    }
    assert!(cut <= MAX_PARTIAL && assembler.is_empty());
}
