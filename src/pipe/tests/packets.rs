//! The assembler, with packets made by hand.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::assembler::{Assembler, Step};
use super::super::fuzz::{feed, fuzz};
use super::super::packet::{HEADER_LEN, MAX_PART, Tag};
use super::*;

/// A message of a sender: its bytes, how many descriptors it has, and where it is divided.
#[derive(Clone, Debug)]
struct Sent {
    bytes: Vec<u8>,
    handles: u16,
    cuts: Vec<Index>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let len = prop_oneof![0..40usize, 0..5000usize, 60_000..140_000usize];
    let bytes = (len, any::<u8>()).prop_map(|(len, seed)| {
        (0..len)
            .map(|at| (at as u8).wrapping_mul(31) ^ seed)
            .collect::<Vec<u8>>()
    });
    (bytes, 0..6u16, vec(any::<Index>(), 0..5)).prop_map(|(bytes, handles, cuts)| Sent {
        bytes,
        handles,
        cuts,
    })
}

/// Bytes, and the descriptors beside them.
type Packet = (Vec<u8>, Vec<u32>);

/// The packets of a message; descriptors are numbers.
fn packets(message: &Sent, tag: Tag) -> Vec<Packet> {
    let len = message.bytes.len();
    let mut ends: Vec<usize> = message.cuts.iter().map(|cut| cut.index(len + 1)).collect();
    ends.extend((1..=len / MAX_PART).map(|part| part * MAX_PART));
    ends.push(len);
    ends.sort_unstable();
    ends.dedup(); // each packet brings something
    let count = ends.len();
    let mut start = 0;
    let mut handles = 0..message.handles;
    let mut packets = Vec::new();
    for (at, end) in ends.into_iter().enumerate() {
        let is_last = at + 1 == count;
        let beside: Vec<u32> = handles
            .by_ref()
            .take(if is_last { usize::MAX } else { 1 })
            .map(u32::from)
            .collect();
        let header = Header {
            total: len as u64,
            offset: start as u64,
            tag,
            handles: message.handles,
            beside: beside.len() as u16,
            flags: if at == 0 { FIRST } else { 0 } | if is_last { LAST } else { 0 },
        };
        packets.push((
            [&header.encode()[..], &message.bytes[start..end]].concat(),
            beside,
        ));
        start = end;
    }
    packets
}

/// What comes out: messages whole, and errors.
fn assembled(stream: &[Packet]) -> (Vec<Packet>, Vec<RecvError>) {
    let mut assembler = Assembler::default();
    let mut scratch = vec![0; MAX_PART];
    let (mut messages, mut errors) = (Vec::new(), Vec::new());
    for (packet, beside) in stream {
        match feed(
            &mut assembler,
            packet,
            beside.clone(),
            &mut scratch,
            1 << 30,
        ) {
            Some(Step::Small { len, handles, .. }) => {
                messages.push((scratch[..len].to_vec(), handles))
            }
            Some(Step::Large {
                payload, handles, ..
            }) => messages.push((payload, handles)),
            Some(Step::Failed(error)) => errors.push(error),
            Some(Step::More) | None => {}
        }
    }
    loop {
        match assembler.end() {
            RecvError::Closed => break,
            cut => errors.push(cut),
        }
    }
    (messages, errors)
}

/// The packets of all senders, each one's in order, and otherwise in any.
fn mixed(senders: &[Vec<Sent>], order: &[Index]) -> Vec<Packet> {
    let mut queues: Vec<std::collections::VecDeque<Packet>> = senders
        .iter()
        .enumerate()
        .map(|(sender, messages)| {
            let tagged = messages.iter().enumerate().map(|(number, message)| {
                packets(
                    message,
                    Tag {
                        sender: sender as u32,
                        number: number as u32,
                    },
                )
            });
            tagged.flatten().collect()
        })
        .collect();
    let mut stream = Vec::new();
    let mut order = order.iter().cycle();
    loop {
        queues.retain(|queue| !queue.is_empty());
        if queues.is_empty() {
            return stream;
        }
        let next = order.next().map_or(0, |index| index.index(queues.len()));
        stream.extend(queues[next].pop_front());
    }
}

#[test]
fn the_bytes_of_a_packet_are_those_that_are_written_down() {
    let header = Header {
        handles: 1,
        beside: 1,
        ..whole(1)
    };
    let bytes = [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // total, offset
        0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 3, 1, 0,
        0, // tag, handles, beside, flags, version
    ];
    assert_eq!(header.encode(), bytes);
    assert_eq!(Header::decode(&bytes), Ok(header));
    let counted: [u8; HEADER_LEN] = std::array::from_fn(|at| at as u8 + 1);
    let all = Header {
        total: 0x0807_0605_0403_0201,
        offset: 0x100f_0e0d_0c0b_0a09,
        tag: Tag {
            sender: 0x1413_1211,
            number: 0x1817_1615,
        },
        handles: 0x1a19,
        beside: 0x1c1b,
        flags: 0x1d,
    };
    assert_eq!(all.encode()[..29], counted[..29]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_come_as_they_were_sent_however_they_are_divided_and_mixed(
        senders in vec(vec(sent(), 0..4), 1..4),
        order in vec(any::<Index>(), 1..40),
    ) {
        let (messages, errors) = assembled(&mixed(&senders, &order));
        prop_assert!(errors.is_empty(), "{:?}", errors);
        // Each sender's in order: what is left of its list after each is taken from the front.
        let mut left: Vec<std::collections::VecDeque<&Sent>> =
            senders.iter().map(|messages| messages.iter().collect()).collect();
        for (bytes, handles) in messages {
            let of = left.iter_mut().find(|queue| {
                queue.front().is_some_and(|next| {
                    next.bytes == bytes && handles.iter().copied().eq(0..u32::from(next.handles))
                })
            });
            prop_assert!(of.is_some(), "a message that was sent next by somebody");
            of.map(std::collections::VecDeque::pop_front);
        }
        prop_assert!(left.iter().all(std::collections::VecDeque::is_empty));
    }

    #[test]
    fn packets_that_are_lost_cost_their_messages_only(
        messages in vec(sent(), 1..6),
        lost in any::<Index>(),
    ) {
        let divided: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(number, message)| packets(message, Tag { sender: 1, number: number as u32 }))
            .collect();
        let count = divided.iter().map(Vec::len).sum();
        let lost = lost.index(count);
        let mut at = 0;
        let mut damaged = None;
        let mut stream = Vec::new();
        for (number, packets) in divided.into_iter().enumerate() {
            for packet in packets {
                if at == lost {
                    damaged = Some(number);
                } else {
                    stream.push(packet);
                }
                at += 1;
            }
        }
        let (received, _) = assembled(&stream);
        let expected: Vec<_> = messages
            .iter()
            .enumerate()
            .filter(|(number, _)| Some(*number) != damaged)
            .map(|(_, message)| (message.bytes.clone(), (0..u32::from(message.handles)).collect::<Vec<_>>()))
            .collect();
        prop_assert!(received == expected);
    }

    #[test]
    fn a_flipped_bit_costs_at_most_one_message(
        messages in vec(sent(), 1..4),
        packet in any::<Index>(),
        place in 0..HEADER_LEN,
        bit in 0..8u8,
    ) {
        let mut stream = mixed(std::slice::from_ref(&messages), &[]);
        let packet = packet.index(stream.len());
        stream[packet].0[place] ^= 1 << bit;
        let (received, _) = assembled(&stream);
        prop_assert!(received.len() + 1 >= messages.len());
        let mut sent = messages.iter();
        let mut others = 0;
        for (bytes, _) in received {
            let mut rest = sent.clone();
            match rest.find(|message| message.bytes == bytes) {
                Some(_) => sent = rest,
                None => others += 1,
            }
        }
        prop_assert!(others <= 1);
    }

    #[test]
    fn any_packets_do_no_harm(data in vec(any::<u8>(), 0..4000)) {
        fuzz(&data);
    }
}
