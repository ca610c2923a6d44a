//! A client that reads late, and is to be listened to again when it has.

use super::over_a_network::served_on_loopback;
use super::*;
use crate::manager::objects::containers::{ListOp, QueueOp, ValueOp};
use crate::manager::protocol::Packed;
use crate::manager::store::Kind as Of;

impl Client {
    /// A request as it is sent.
    fn request<O: serde::Serialize + 'static>(&mut self, object: ObjectId, op: &O) -> Vec<u8> {
        let mut bytes = Vec::new();
        let start = frame::begin(&mut bytes);
        encode_object(object, &mut bytes).unwrap();
        wire::encode(op, &mut bytes).unwrap();
        let header = Header::new(Kind::Request, self.calls, 0);
        frame::finish(&mut bytes, start, header);
        self.calls += 1;
        bytes
    }

    fn create(&mut self, kind: Of, bytes: Vec<u8>) -> ObjectId {
        let (type_name, refs) = (String::new(), Vec::new());
        let init = Packed { bytes, refs };
        let op = RootOp::Create {
            kind,
            type_name,
            init,
        };
        let create = self.request(ObjectId::ROOT, &op);
        self.send_raw(create);
        wire::decode(&self.reply().unwrap().1.unwrap()).unwrap()
    }
}

/// How many answers are asked for at once.
const AT_ONCE: u64 = 8;

#[test]
fn who_has_read_is_listened_to_again_whoever_finds_out() {
    let (server, key) = served_on_loopback();
    let (mut late, mut other) = (Client::of(&server, &key), Client::of(&server, &key));
    let mut none = Vec::new();
    wire::encode(&None::<u64>, &mut none).unwrap();
    let queue = late.create(Of::Queue, none);
    // Something that takes the server a moment.
    let mut many = Vec::new();
    wire::encode(&vec![Packed::default(); 100_000], &mut many).unwrap();
    let many = other.create(Of::List, many);
    let count = ListOp::Count {
        value: serde_bytes::ByteBuf::from(vec![7]),
    };
    let values: Vec<ObjectId> = (0..8)
        .map(|size| late.create(Of::Value, vec![7; MAX_UNSENT + (size + 1) * 300_000]))
        .collect();
    for round in 0..16 {
        let value = values[round % values.len()];
        let mut asked = late.request(queue, &QueueOp::Get { wait: true });
        for _ in 0..AT_ONCE {
            asked.extend(late.request(value, &ValueOp::Get));
        }
        late.send_raw(asked);
        // It waits in the server, which writes to the late one when it is done with the others.
        for _ in 0..4 {
            let mut asked = other.request(many, &count);
            asked.extend(other.request(
                queue,
                &QueueOp::Put {
                    value: Packed::default(),
                    wait: true,
                },
            ));
            other.send_raw(asked);
        }
        for _ in 0..=AT_ONCE {
            late.reply().unwrap().1.unwrap();
        }
        for _ in 0..8 {
            other.reply().unwrap().1.unwrap();
        }
        for _ in 0..3 {
            let asked = late.request(queue, &QueueOp::Get { wait: true });
            late.send_raw(asked);
            late.reply().unwrap().1.unwrap();
        }
    }
}
