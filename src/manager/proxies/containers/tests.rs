use super::*;
use crate::manager::client::Proxy;
use crate::manager::objects::containers::{Got, Put, QueueOp};
use crate::manager::store::Kind;

#[test]
fn proxies_are_shared_by_threads_whatever_is_in_them() {
    fn is_shared<T: Send + Sync + Clone>() {}
    fn is_sent<T: Send>() {}
    // It is neither sent nor shared itself.
    type Local = std::rc::Rc<u8>;
    is_shared::<ListProxy<Local>>();
    is_shared::<DictProxy<Local, Local>>();
    is_shared::<SetProxy<Local>>();
    is_shared::<QueueProxy<Local>>();
    is_shared::<ValueProxy<Local>>();
    is_shared::<ArrayProxy<Local>>();
    is_shared::<NamespaceProxy>();
    is_sent::<Putting<u8>>();
    is_sent::<Entry<'static, u8, u8>>();
}

#[test]
fn what_is_awaited_can_go_to_another_thread() {
    fn is_sent<T: Send>(_: impl Fn() -> T) {}
    fn any<T>() -> T {
        unreachable!("only its type is looked at")
    }
    type Dict = DictProxy<u8, u64>;
    is_sent(|| any::<&ListProxy<u8>>().update_async(0, |value| *value += 1));
    is_sent(|| any::<&ListProxy<u8>>().sort_async());
    is_sent(|| any::<&Dict>().update_async(&0, |value| value));
    is_sent(|| any::<Entry<'static, u8, u64>>().or_insert_with_async(|| 0));
    is_sent(|| any::<&SetProxy<u8>>().union_async(any::<&SetProxy<u8>>()));
    is_sent(|| any::<&QueueProxy<u8>>().get_async());
}

#[test]
fn a_proxy_says_of_what_its_values_are() {
    assert_eq!(<ListProxy<u64> as Proxy>::type_name(), "u64");
    assert_eq!(<DictProxy<u8, char> as Proxy>::type_name(), "u8, char");
    assert_eq!(<NamespaceProxy as Proxy>::type_name(), "");
    assert_eq!(<SetProxy<u64> as Proxy>::KIND, Kind::Set);
}

#[test]
fn an_item_that_came_too_late_is_given_back() {
    let value = Packed {
        bytes: vec![1, 2, 3],
        refs: Vec::new(),
    };
    let ticket = 300;
    let got = Got::Item {
        ticket,
        value: value.clone(),
    };
    let undo = queue::undo_get(&encoded(&got).unwrap()).unwrap();
    match wire::decode(&undo).unwrap() {
        QueueOp::GiveBack {
            ticket: 300,
            value: given,
        } => assert_eq!(given, value),
        other => panic!("{other:?}"),
    }
    for nothing in [Got::<Packed>::Empty, Got::Closed] {
        assert_eq!(queue::undo_get(&encoded(&nothing).unwrap()), None);
    }
    assert_eq!(queue::undo_get(&[0xff]), None);
}

#[test]
fn a_put_that_is_known_too_late_is_taken_back() {
    let put = encoded(&Put::Done { ticket: 300 }).unwrap();
    let undo = queue::undo_put(&put).unwrap();
    let undo: QueueOp = wire::decode(&undo).unwrap();
    assert!(
        matches!(undo, QueueOp::TakeBack { ticket: 300 }),
        "{undo:?}"
    );
    for nothing in [Put::Full, Put::Closed] {
        assert_eq!(queue::undo_put(&encoded(&nothing).unwrap()), None);
    }
}

#[test]
fn ranges_are_as_those_of_slices() {
    assert_eq!(bounds(&(..)), (0, None));
    assert_eq!(bounds(&(2..5)), (2, Some(5)));
    assert_eq!(bounds(&(2..=5)), (2, Some(6)));
    assert_eq!(bounds(&(..=usize::MAX)), (0, Some(u64::MAX)));
    let after = (Bound::Excluded(1), Bound::Unbounded);
    assert_eq!(bounds(&after), (2, None));
}

#[test]
fn an_error_is_printed_with_its_cause() {
    let lost = ManagerError::Lost {
        address: "unix:/jobs".into(),
        source: None,
    };
    let said = "no manager answers at unix:/jobs";
    let got = GetError::from(lost.clone());
    assert_eq!(got.to_string(), "no item was got from the queue");
    assert_eq!(format!("{got:?}"), format!("{got}: {said}"));
    let done = TaskDoneError::from(lost.clone());
    assert_eq!(format!("{done:?}"), format!("{done}: {said}"));
    let put = PutError::Manager {
        value: 7,
        source: lost,
    };
    assert_eq!(format!("{put:?}"), format!("{put}: {said}"));
    assert_eq!(format!("{:?}", GetError::Empty), "the queue is empty");
}
