//! Another process: this test binary, whose standard input is the other end.

use std::io::stdin;
use std::process::{Child, Command, Stdio};

use super::*;

/// Starts the ignored test of that name below with the other end of a connection.
fn start<T>(child: &str) -> (Connection<T>, Child) {
    let (ours, theirs) = with_raw_peer::<T>();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("pipe::tests::processes::{child}"))
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (ours, child)
}

/// In the child: the other end.
fn standard_input<T>() -> Connection<T> {
    let socket = stdin().as_fd().try_clone_to_owned().unwrap();
    Connection::new(Arc::new(End::new(
        socket.into(),
        Direction::Both,
        DEFAULT_MAX_MESSAGE,
    )))
}

#[test]
#[ignore = "a child of the tests below"]
fn child_echoes() {
    let end = standard_input::<Vec<u8>>();
    while let Ok(message) = end.recv() {
        end.send(&message).unwrap();
    }
}

#[test]
#[ignore = "a child of the tests below"]
fn child_gets_ends() {
    let end = standard_input::<Sender<String>>();
    let sender = end.recv().unwrap();
    sender
        .send(&format!("process {}", std::process::id()))
        .unwrap();
}

#[test]
#[ignore = "a child of the tests below"]
fn child_can_open_little() {
    let end = standard_input::<Vec<Sender<u8>>>();
    crate::sys::limit_open_files(8).unwrap();
    assert!(matches!(end.recv(), Err(RecvError::DescriptorsLost)));
    assert!(end.recv().unwrap().is_empty());
    let senders = end.recv().unwrap();
    senders[0].send(&7).unwrap();
}

#[test]
fn more_descriptors_than_a_process_can_open_cost_their_message() {
    watched(|| {
        let (ours, mut child) = start::<Vec<Sender<u8>>>("child_can_open_little");
        let pairs: Vec<_> = (0..20).map(|_| one_way::<u8>().unwrap()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        ours.send(&senders).unwrap();
        ours.send(&Vec::new()).unwrap();
        ours.send(&senders[..1].to_vec()).unwrap();
        drop(senders);
        assert_eq!(receivers[0].recv().unwrap(), 7);
        assert!(child.wait().unwrap().success());
        for receiver in receivers {
            assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
        }
    });
}

#[test]
fn however_late_a_process_is_killed_its_connection_comes_to_an_end() {
    watched(|| {
        for count in 0..12 {
            let (ours, mut child) = start::<Vec<u8>>("child_echoes");
            let message = vec![7; 100_000 * (count + 1)];
            // Both ways at once: the other side never sleeps for long.
            thread::scope(|scope| {
                scope.spawn(|| while ours.send(&message).is_ok() {});
                for _ in 0..count {
                    assert!(ours.recv().unwrap() == message);
                }
                child.kill().unwrap();
                child.wait().unwrap();
                loop {
                    match ours.recv() {
                        Ok(whole) => assert!(whole == message),
                        Err(RecvError::Cut { .. }) => {}
                        Err(RecvError::Closed) => break,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
}

#[test]
fn a_message_goes_to_another_process_and_back() {
    watched(|| {
        let (ours, mut child) = start::<Vec<u8>>("child_echoes");
        for len in [0, 1, 1000, 3 << 20] {
            ours.send(&vec![7; len]).unwrap();
            assert!(ours.recv().unwrap() == vec![7; len]);
        }
        drop(ours);
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn an_end_goes_to_another_process() {
    watched(|| {
        let (ours, mut child) = start::<Sender<String>>("child_gets_ends");
        let (sender, receiver) = one_way().unwrap();
        ours.send(&sender).unwrap();
        drop(sender);
        assert_eq!(receiver.recv().unwrap(), format!("process {}", child.id()));
        assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn a_process_that_is_killed_half_way_through_a_message_is_told() {
    watched(|| {
        let (ours, mut child) = start::<Vec<u8>>("child_echoes");
        ours.send(&vec![7; 8 << 20]).unwrap();
        // It has begun to send it back, and cannot be done: there is not so much room.
        assert!(ours.poll(Duration::MAX).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        match ours.recv() {
            Err(RecvError::Cut { received, len }) => assert!(received > 0 && received < len),
            other => panic!("{:?}", other.map(|message| message.len())),
        }
        assert!(matches!(ours.recv(), Err(RecvError::Closed)));
        assert!(matches!(ours.send(&vec![1]), Err(SendError::Closed)));
    });
}
