//! An end of one direction does not go the other way.

fn main() {
    let (sender, receiver) = procession::pipe::one_way::<u64>().unwrap();
    sender.recv();
    receiver.send(&7);
    receiver.try_send(&7);
}
