//! Ends that go elsewhere.

use crate::Descriptor;
use std::io::Write;

use super::*;

#[test]
fn ends_and_other_descriptors_travel_through_connections() {
    watched(|| {
        type Parts = (String, Vec<Option<Sender<u8>>>, Connection<u8, String>);
        let (here, there) = duplex::<Parts, ()>().unwrap();
        let (sender, receiver) = one_way::<u8>().unwrap();
        let (asks, answers) = duplex::<u8, String>().unwrap();
        here.send(&(
            "all".into(),
            vec![Some(sender.clone()), None, Some(sender)],
            asks,
        ))
        .unwrap();
        let (name, senders, asks) = there.recv().unwrap();
        assert_eq!((&*name, senders.len()), ("all", 3));
        for (n, sender) in senders.iter().flatten().enumerate() {
            sender.send(&(n as u8)).unwrap();
        }
        asks.send(&7).unwrap();
        assert_eq!(answers.recv().unwrap(), 7);
        drop(senders);
        let received = receiver.messages().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(
            received,
            [0, 1],
            "and then its end, since the first copies are dropped"
        );
    });
}

#[test]
fn an_end_travels_with_its_limit_and_leaves_no_message_behind() {
    watched(|| {
        let (ours, theirs) = pipe::<u8>().unwrap();
        theirs.set_max_message(5);
        (1..=3).for_each(|n| ours.send(&n).unwrap());
        assert_eq!(theirs.recv().unwrap(), 1);
        let gone = copy_of(&theirs);
        drop(theirs);
        assert_eq!(gone.recv().unwrap(), 2);
        assert_eq!(gone.recv().unwrap(), 3);
        ours.send_bytes(&[0; 6]).unwrap();
        assert!(matches!(
            gone.recv(),
            Err(RecvError::TooLong { max_message: 5, .. })
        ));
    });
}

#[test]
fn an_end_of_the_wrong_direction_is_refused() {
    let (sender, receiver) = one_way::<u8>().unwrap();
    let (both, _other) = pipe::<u8>().unwrap();
    let refusals = [
        travelled::<_, Receiver<u8>>(&sender).map(drop),
        travelled::<_, Sender<u8>>(&receiver).map(drop),
        travelled::<_, Connection<u8>>(&sender).map(drop),
        travelled::<_, Sender<u8>>(&both).map(drop),
        travelled::<_, Receiver<u8>>(&both).map(drop),
    ];
    let texts = refusals.map(|refused| refused.unwrap_err().to_string());
    assert!(texts[0].contains("the sending end"), "{texts:?}");
    assert!(texts[1].contains("the receiving end"), "{texts:?}");
    assert!(texts[3].contains("both directions"), "{texts:?}");
    assert!(travelled::<_, Sender<u8>>(&sender).is_ok());
    assert!(travelled::<_, Receiver<u8>>(&receiver).is_ok());
}

#[test]
fn an_end_with_a_part_of_a_message_stays() {
    watched(|| {
        let (theirs, peer) = with_raw_peer::<Vec<u8>>();
        send_half(&peer);
        assert_eq!(theirs.try_recv().unwrap(), None);
        let (courier, _other) = pipe::<Connection<Vec<u8>>>().unwrap();
        match courier.send(&theirs) {
            Err(SendError::NotEncoded { message, .. }) => {
                assert!(message.contains("part of a message"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        send_other_half(&peer);
        assert_eq!(theirs.recv_bytes().unwrap().len(), 100_000);
        courier.send(&theirs).unwrap();
    });
}

#[test]
fn an_end_is_no_text() {
    let (one, _other) = pipe::<u8>().unwrap();
    let refused = serde_json::to_string(&one).unwrap_err();
    assert!(refused.to_string().contains("descriptor"), "{refused}");
}

#[test]
fn more_descriptors_than_one_packet_has_room_for_travel() {
    watched(|| {
        let (here, there) = duplex::<Vec<Sender<u8>>, ()>().unwrap();
        let (sender, receiver) = one_way::<u8>().unwrap();
        // Copies that do not share a descriptor: each travels by itself.
        let copies: Vec<Sender<u8>> = (0..300)
            .map(|_| {
                let own = crate::sys::fork_of(&sender).unwrap();
                Sender::new(Arc::new(End::new(own.into(), Direction::Sends, 100)))
            })
            .collect();
        here.send(&copies).unwrap();
        let came = there.recv().unwrap();
        drop((copies, sender));
        assert_eq!(came.len(), 300);
        came[299].send(&7).unwrap();
        assert_eq!(receiver.recv().unwrap(), 7);
        drop(came);
        assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    });
}

#[test]
fn descriptors_with_large_numbers_and_of_other_kinds_travel() {
    watched(|| {
        let (here, there) = pipe::<(Descriptor, Descriptor)>().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let high = rustix::io::fcntl_dupfd_cloexec(&writer, 300).unwrap();
        drop(writer);
        let (listener, client) = {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (listener, client)
        };
        let both = (Descriptor::new(high), Descriptor::new(listener));
        here.send(&both).unwrap();
        drop(both);
        let (writer, listener) = there.recv().unwrap();
        std::fs::File::from(writer.into_owned().unwrap())
            .write_all(b"written")
            .unwrap();
        assert_eq!(std::io::read_to_string(reader).unwrap(), "written");
        let listener = std::net::TcpListener::from(listener.into_owned().unwrap());
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
    });
}

#[test]
fn an_end_travels_through_itself() {
    watched(|| {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Own(Connection<Own>);
        let (one, other) = pipe::<Own>().unwrap();
        one.send(&Own(one.clone())).unwrap();
        let Own(again) = other.recv().unwrap();
        drop(one);
        again.send(&Own(again.clone())).unwrap();
        drop(again);
        assert!(other.recv().is_ok());
        assert!(matches!(other.recv(), Err(RecvError::Closed)));
    });
}
