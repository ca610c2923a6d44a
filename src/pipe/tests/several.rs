//! Several threads, and several copies of an end, as several processes have them.

use super::*;

/// Everybody sends so many of these: the sender, a count, and bytes that depend on both.
type Marked = (u32, u32, Vec<u8>);

fn marked(sender: u32, n: u32, longest: usize) -> Marked {
    let len = (sender as usize * 7919 + n as usize * 104_729) % longest;
    (sender, n, vec![(sender * 31 + n) as u8; len])
}

fn check(received: Vec<Marked>, senders: u32, each: u32, longest: usize) {
    let mut next = vec![0; senders as usize];
    for message in received {
        let (sender, n) = (message.0, message.1);
        assert!(message == marked(sender, n, longest), "{sender} {n}");
        assert_eq!(next[sender as usize], n, "in order for each sender");
        next[sender as usize] += 1;
    }
    assert!(next.iter().all(|count| *count == each), "{next:?}");
}

fn from_several(own_copies: bool, longest: usize, each: u32) {
    const SENDERS: u32 = 4;
    watched(move || {
        let (ours, theirs) = pipe::<Marked>().unwrap();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let end = if own_copies {
                    copy_of(&ours)
                } else {
                    ours.clone()
                };
                thread::spawn(move || {
                    (0..each).for_each(|n| end.send(&marked(sender, n, longest)).unwrap())
                })
            })
            .collect();
        drop(ours);
        let received = theirs.messages().collect::<Result<Vec<_>, _>>().unwrap();
        senders
            .into_iter()
            .for_each(|sender| sender.join().unwrap());
        check(received, SENDERS, each, longest);
    });
}

#[test]
fn messages_of_several_threads_stay_whole() {
    from_several(false, 1000, 500);
    from_several(false, 300_000, 30);
}

#[test]
fn messages_of_several_copies_stay_whole() {
    from_several(true, 1000, 500);
    from_several(true, 300_000, 30);
}

fn to_several(own_copies: bool, longest: usize, each: u32) {
    watched(move || {
        let (ours, theirs) = pipe::<Marked>().unwrap();
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let end = if own_copies {
                    copy_of(&theirs)
                } else {
                    theirs.clone()
                };
                thread::spawn(move || end.messages().collect::<Result<Vec<_>, _>>().unwrap())
            })
            .collect();
        for n in 0..each {
            ours.send(&marked(0, n, longest)).unwrap();
        }
        drop(ours);
        let mut received: Vec<Marked> = Vec::new();
        for receiver in receivers {
            let one = receiver.join().unwrap();
            assert!(one.is_sorted_by_key(|message| message.1));
            received.extend(one);
        }
        received.sort_by_key(|message| message.1);
        check(received, 1, each, longest);
    });
}

#[test]
fn each_message_goes_to_one_of_several_threads() {
    to_several(false, 1000, 1000);
    to_several(false, 300_000, 60);
}

#[test]
fn each_short_message_goes_to_one_of_several_copies() {
    to_several(true, 60_000, 300);
}

#[test]
fn a_long_message_of_which_somebody_else_took_a_part_is_refused() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let other = copy_of(&theirs);
        let sender = thread::spawn(move || {
            ours.send(&vec![1; 150_000]).unwrap();
            ours.send(&vec![2]).unwrap();
        });
        // The first packet only: there may not be more, but never the last.
        let mut scratch = vec![0; super::super::packet::MAX_PART];
        assert!(other.poll(Duration::MAX).unwrap());
        let mut turn = other.end().receiving.try_take().unwrap();
        assert!(
            other
                .end()
                .next_packet(&mut turn, &mut scratch, true)
                .is_ok()
        );
        drop(turn);
        assert!(matches!(theirs.recv(), Err(RecvError::Torn)));
        assert_eq!(theirs.recv().unwrap(), [2]);
        sender.join().unwrap();
        assert!(matches!(other.recv(), Err(RecvError::Cut { .. })));
        assert!(matches!(other.recv(), Err(RecvError::Closed)));
    });
}

#[test]
fn who_waits_behind_a_blocked_receiver_can_give_up() {
    watched(|| {
        let (ours, theirs) = pipe::<u8>().unwrap();
        let blocked = thread::spawn({
            let theirs = theirs.clone();
            move || theirs.recv()
        });
        // Whichever of the two is first.
        assert_eq!(
            theirs.recv_timeout(Duration::from_millis(20)).unwrap(),
            None
        );
        assert_eq!(theirs.try_recv().unwrap(), None);
        ours.send(&1).unwrap();
        assert_eq!(blocked.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn both_directions_are_used_at_once() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let side = |end: Connection<Vec<u8>>| {
            thread::spawn(move || {
                thread::scope(|scope| {
                    scope.spawn(|| (0..20).for_each(|_| end.send(&vec![3; 500_000]).unwrap()));
                    (0..20).for_each(|_| assert_eq!(end.recv().unwrap().len(), 500_000));
                });
            })
        };
        let sides = [side(ours), side(theirs)];
        sides.into_iter().for_each(|side| side.join().unwrap());
    });
}
