use super::*;
use crate::manager::objects::containers::{
    ArrayOp, DictOp, Got, ListOp, NamespaceOp, QueueOp, SetOp, ValueOp,
};
use crate::manager::store::Caller;
use crate::manager::store::testing::packed_with;

/// A container, and an object that is known by nothing but what a value in the container refers to.
struct Keeping {
    one: One,
    kept: Packed,
    id: ObjectId,
}

impl Keeping {
    fn new<I: Serialize + 'static>(kind: Kind, init: &I) -> Self {
        let mut one = One::new(kind, init);
        let id = one.bench.create(one.session, Kind::Namespace, &());
        let kept = packed_with(&"a proxy", &[id]);
        Self { one, kept, id }
    }

    /// The container has it now, and nobody else.
    #[track_caller]
    fn is_kept(&mut self) {
        self.one.bench.release(self.one.session, self.id, u64::MAX);
        assert_eq!(self.one.bench.store.len(), 2);
    }

    /// It was answered with: whoever has asked can use it.
    #[track_caller]
    fn is_granted(&mut self) {
        assert_eq!(self.one.bench.store.len(), 2);
        let names: Vec<String> = self
            .one
            .bench
            .ask(self.one.session, self.id, &NamespaceOp::Names)
            .unwrap();
        assert!(names.is_empty());
    }

    #[track_caller]
    fn goes(&mut self) {
        self.one.bench.release(self.one.session, self.id, u64::MAX);
        assert_eq!(self.one.bench.store.len(), 1);
    }
}

#[test]
fn a_list_keeps_what_its_values_refer_to() {
    let mut list = Keeping::new(Kind::List, &Vec::<Packed>::new());
    let values = vec![list.kept.clone()];
    list.one.ask::<_, ()>(ListOp::Extend { values }).unwrap();
    list.is_kept();
    list.one.ask::<_, Option<Packed>>(ListOp::Pop).unwrap();
    list.is_granted();
    list.goes();
}

#[test]
fn a_dictionary_keeps_what_its_keys_and_values_refer_to() {
    let mut dict = Keeping::new(Kind::Dict, &Vec::<(Packed, Packed)>::new());
    let (key, value) = (packed(&1), dict.kept.clone());
    dict.one
        .ask::<_, Option<Packed>>(DictOp::Insert { key, value })
        .unwrap();
    dict.is_kept();
    let (key, value) = (packed(&1), packed(&2));
    dict.one
        .ask::<_, Option<Packed>>(DictOp::Insert { key, value })
        .unwrap();
    dict.is_granted();
    dict.goes();

    let mut dict = Keeping::new(Kind::Dict, &Vec::<(Packed, Packed)>::new());
    let (key, value) = (dict.kept.clone(), packed(&1));
    dict.one
        .ask::<_, Option<Packed>>(DictOp::Insert { key, value })
        .unwrap();
    dict.is_kept();
    dict.one.ask::<_, ()>(DictOp::Clear).unwrap();
    dict.goes();
}

#[test]
fn a_set_keeps_what_its_values_refer_to() {
    let mut set = Keeping::new(Kind::Set, &Vec::<Packed>::new());
    let value = set.kept.clone();
    set.one.ask::<_, bool>(SetOp::Insert { value }).unwrap();
    set.is_kept();
    set.one.ask::<_, Option<Packed>>(SetOp::Pop).unwrap();
    set.is_granted();
    set.goes();
}

/// A queue that is full, and a call that waits to put what is kept.
fn full_queue() -> (Keeping, Caller) {
    let mut queue = Keeping::new(Kind::Queue, &Some(1u64));
    let put = |value| QueueOp::Put { value, wait: true };
    let first = put(packed(&1));
    queue
        .one
        .bench
        .begin(queue.one.session, queue.one.object, &first);
    let second = put(queue.kept.clone());
    let waits = queue
        .one
        .bench
        .begin(queue.one.session, queue.one.object, &second);
    (queue, waits)
}

#[test]
fn a_queue_keeps_what_its_items_refer_to_also_of_those_who_wait_to_put() {
    let (mut queue, waits) = full_queue();
    assert!(queue.one.bench.waits(waits));
    queue.is_kept();
    for _ in 0..2 {
        queue
            .one
            .ask::<_, Got<Packed>>(QueueOp::Get { wait: false })
            .unwrap();
    }
    queue.is_granted();
    queue.goes();
}

#[test]
fn a_put_that_is_cancelled_lets_go_of_what_its_item_refers_to() {
    let (mut queue, waits) = full_queue();
    queue.is_kept();
    queue.one.bench.cancel(waits);
    queue.goes();
}

#[test]
fn a_value_keeps_what_it_refers_to() {
    let mut value = Keeping::new(Kind::Value, &());
    let kept = value.kept.clone();
    value
        .one
        .ask::<_, ()>(ValueOp::Set { value: kept })
        .unwrap();
    value.is_kept();
    value
        .one
        .ask::<_, ()>(ValueOp::Set { value: packed(&1) })
        .unwrap();
    value.goes();
}

#[test]
fn an_array_keeps_what_its_values_refer_to() {
    let mut array = Keeping::new(Kind::Array, &all_packed(&[1, 2, 3]));
    let value = array.kept.clone();
    array.one.ask::<_, ()>(ArrayOp::Fill { value }).unwrap();
    array.is_kept();
    let values = all_packed(&[1, 2]);
    array
        .one
        .ask::<_, ()>(ArrayOp::Write { start: 0, values })
        .unwrap();
    array.is_kept();
    let (expected, value) = (bytes(&"a proxy"), packed(&3));
    let swap = ArrayOp::CompareAndSwap {
        index: 2,
        expected,
        value,
    };
    assert_eq!(array.one.ask(swap), Ok(true));
    array.goes();
}

#[test]
fn a_namespace_keeps_what_its_attributes_refer_to() {
    let mut space = Keeping::new(Kind::Namespace, &());
    let (name, type_name) = (|| "it".to_owned(), "Proxy".to_owned());
    let value = space.kept.clone();
    let set = NamespaceOp::Set {
        name: name(),
        type_name,
        value,
    };
    space.one.ask::<_, ()>(set).unwrap();
    space.is_kept();
    space
        .one
        .ask::<_, bool>(NamespaceOp::Remove { name: name() })
        .unwrap();
    space.goes();
}

#[test]
fn what_an_object_begins_with_is_kept_part_by_part() {
    let mut bench = Bench::new();
    let session = bench.session();
    let ids = [(); 2].map(|()| bench.create(session, Kind::Namespace, &()));
    let values = ids.map(|id| packed_with(&"a proxy", &[id])).to_vec();
    let list = bench
        .try_create(session, Kind::List, packed_with(&values, &ids))
        .unwrap();
    for id in ids {
        bench.release(session, id, 1);
    }
    assert_eq!(bench.store.len(), 3);

    bench
        .ask::<_, ()>(session, list, &ListOp::Truncate { len: 1 })
        .unwrap();
    assert_eq!(bench.store.len(), 2);

    // A part that refers to more than the whole does.
    let refused = bench.try_create(session, Kind::List, packed_with(&values, &[ids[0]]));
    assert_eq!(refused, Err(Fault::NoObject));
}
