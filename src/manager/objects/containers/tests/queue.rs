use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::manager::objects::containers::queue::QueueState;
use crate::manager::objects::containers::{Got, Put, QueueOp};
use crate::manager::store::Caller;

fn queue(capacity: Option<u64>) -> One {
    One::new(Kind::Queue, &capacity)
}

impl One {
    fn put(&mut self, session: SessionId, value: u32) -> Caller {
        let value = packed(&value);
        let put = QueueOp::Put { value, wait: true };
        self.bench.begin(session, self.object, &put)
    }

    fn get(&mut self, session: SessionId) -> Caller {
        let get = QueueOp::Get { wait: true };
        self.bench.begin(session, self.object, &get)
    }

    fn join(&mut self) -> Caller {
        self.bench.begin(self.session, self.object, &QueueOp::Join)
    }

    fn try_put(&mut self, value: u32) -> Put {
        let value = packed(&value);
        self.ask(QueueOp::Put { value, wait: false }).unwrap()
    }

    fn try_get(&mut self) -> Option<u32> {
        match self.ask(QueueOp::Get { wait: false }).unwrap() {
            Got::Item { value, .. } => Some(unpacked::<u32>(&value)),
            Got::Empty | Got::Closed => None,
        }
    }

    /// What a get has brought, with its ticket.
    #[track_caller]
    fn got(&mut self, get: Caller) -> (u64, u32) {
        match self.bench.answer::<Got<Packed>>(get).unwrap() {
            Ok(Got::Item { ticket, value }) => (ticket, unpacked(&value)),
            other => panic!("{other:?}"),
        }
    }

    /// The ticket of a put.
    #[track_caller]
    fn put_as(&mut self, put: Caller) -> u64 {
        match self.bench.answer(put).unwrap() {
            Ok(Put::Done { ticket }) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn give_back(&mut self, (ticket, value): (u64, u32)) -> Result<(), Fault> {
        let value = packed(&value);
        self.ask(QueueOp::GiveBack { ticket, value })
    }

    fn state(&mut self) -> QueueState {
        self.ask(QueueOp::State).unwrap()
    }

    fn task_done(&mut self) -> bool {
        self.ask(QueueOp::TaskDone).unwrap()
    }

    fn close_queue(&mut self) {
        self.ask::<_, ()>(QueueOp::Close).unwrap();
    }
}

#[test]
fn who_waits_for_items_is_served_in_the_order_of_coming() {
    let mut one = queue(None);
    let sessions = [one.session, one.bench.session(), one.session];
    let gets = sessions.map(|session| one.get(session));
    for value in [10, 20, 30] {
        one.put(one.session, value);
    }
    assert_eq!(gets.map(|get| one.got(get).1), [10, 20, 30]);
}

#[test]
fn who_waits_for_room_is_served_in_the_order_of_coming() {
    let mut one = queue(Some(1));
    let puts = [10, 20, 30].map(|value| one.put(one.session, value));
    assert_eq!(puts.map(|put| one.bench.waits(put)), [false, true, true]);
    assert_eq!(one.try_put(40), Put::Full);

    assert_eq!(one.try_get(), Some(10));
    assert_eq!(puts.map(|put| one.bench.waits(put)), [false, false, true]);
    assert_eq!(one.try_get(), Some(20));
    assert_eq!(one.try_get(), Some(30));
    assert_eq!(one.try_get(), None);
    let mut tickets = puts.map(|put| one.put_as(put));
    tickets.sort_unstable();
    assert_eq!(tickets, [0, 1, 2]);
}

#[test]
fn a_get_that_is_cancelled_takes_nothing() {
    let mut one = queue(None);
    let gets = [(); 3].map(|()| one.get(one.session));
    one.bench.cancel(gets[0]);
    let cancelled = one.bench.answer::<Got<Packed>>(gets[0]).unwrap();
    assert_eq!(cancelled, Err(Fault::Cancelled));

    one.put(one.session, 10);
    one.put(one.session, 20);
    assert_eq!(one.got(gets[1]).1, 10);
    one.bench.cancel(gets[1]); // answered already
    assert_eq!(one.got(gets[2]).1, 20);
}

#[test]
fn a_put_that_is_cancelled_while_it_waits_puts_nothing() {
    let mut one = queue(Some(1));
    one.put(one.session, 10);
    let waits = one.put(one.session, 20);
    one.bench.cancel(waits);
    let cancelled = one.bench.answer::<Put>(waits).unwrap();
    assert_eq!(cancelled, Err(Fault::Cancelled));
    assert_eq!(one.try_get(), Some(10));
    assert_eq!(one.try_get(), None);
    assert_eq!(one.state().unfinished, 1);
}

#[test]
fn an_item_that_is_given_back_is_first_again() {
    let mut one = queue(None);
    let gets = [(); 2].map(|()| one.get(one.session));
    for value in [10, 20, 30] {
        one.put(one.session, value);
    }
    let got = gets.map(|get| one.got(get));

    // Not in the order in which they were got.
    one.give_back(got[0]).unwrap();
    one.give_back(got[1]).unwrap();

    assert_eq!(one.state().unfinished, 3);
    let all = [(); 4].map(|()| one.try_get());
    assert_eq!(all, [Some(10), Some(20), Some(30), None]);
}

#[test]
fn an_item_that_is_given_back_goes_to_whoever_waits_also_when_it_is_closed() {
    let mut one = queue(Some(1));
    let first = one.get(one.session);
    let second = one.get(one.session);
    one.put(one.session, 10);
    let got = one.got(first);
    one.give_back(got).unwrap();
    assert_eq!(one.got(second), got);

    one.close_queue();
    one.give_back(got).unwrap();
    assert_eq!(one.try_get(), Some(10));
}

#[test]
fn nothing_is_given_back_that_was_never_put_or_is_there() {
    let mut one = queue(None);
    assert_eq!(one.give_back((0, 10)), Err(Fault::NotHeld));
    let put = one.put(one.session, 10);
    let ticket = one.put_as(put);
    assert_eq!(one.give_back((ticket, 11)), Err(Fault::NotHeld));
    assert_eq!(one.give_back((u64::MAX, 11)), Err(Fault::NotHeld));
    assert_eq!(one.state().len, 1);
}

#[test]
fn a_put_is_taken_back_while_its_item_is_there() {
    let mut one = queue(Some(2));
    let puts = [10, 20, 30].map(|value| one.put(one.session, value));
    let ticket = one.put_as(puts[0]);
    let back: bool = one.ask(QueueOp::TakeBack { ticket }).unwrap();
    assert!(back);
    assert!(!one.bench.waits(puts[2]), "there is room");
    assert_eq!(one.state().unfinished, 2);
    assert_eq!(one.try_get(), Some(20));

    let ticket = one.put_as(puts[1]);
    let back: bool = one.ask(QueueOp::TakeBack { ticket }).unwrap();
    assert!(!back, "somebody has got it");
    assert_eq!(one.state().unfinished, 2);
}

#[test]
fn taking_back_the_last_item_that_is_not_done_ends_a_join() {
    let mut one = queue(None);
    let put = one.put(one.session, 10);
    let join = one.join();
    let ticket = one.put_as(put);
    one.ask::<_, bool>(QueueOp::TakeBack { ticket }).unwrap();
    assert_eq!(one.bench.answer(join), Some(Ok(())));
}

#[test]
fn a_session_that_ends_does_not_wait_any_more() {
    let mut one = queue(Some(1));
    let mortal = one.bench.session();
    let gone = one.get(mortal);
    let alive = one.get(one.session);
    one.bench.close(mortal);
    one.put(one.session, 10);
    assert_eq!(one.got(alive).1, 10);
    assert!(one.bench.waits(gone));

    let mortal = one.bench.session();
    one.put(mortal, 20);
    one.put(mortal, 30);
    let alive = one.put(one.session, 40);
    let join = one.bench.begin(mortal, one.object, &QueueOp::Join);
    one.bench.close(mortal);
    assert_eq!(one.try_get(), Some(20), "it was in the queue");
    assert!(!one.bench.waits(alive));
    assert!(one.bench.waits(join));
    assert_eq!(one.try_get(), Some(40));
}

#[test]
fn closing_turns_everybody_away_and_leaves_what_is_there() {
    let mut one = queue(Some(1));
    one.put(one.session, 10);
    let putters = [20, 30].map(|value| one.put(one.session, value));
    one.close_queue();
    one.close_queue(); // again: nothing
    for put in putters {
        assert_eq!(one.bench.answer(put), Some(Ok(Put::Closed)));
    }
    assert_eq!(one.try_put(40), Put::Closed);
    assert_eq!(one.try_get(), Some(10));
    let closed = QueueOp::Get { wait: true };
    assert_eq!(one.ask(closed), Ok(Got::<Packed>::Closed));
    assert!(one.state().is_closed);

    let mut one = queue(None);
    let getters = [(); 3].map(|()| one.get(one.session));
    one.close_queue();
    for get in getters {
        let answer = one.bench.answer(get).unwrap();
        assert_eq!(answer, Ok(Got::<Packed>::Closed));
    }
}

#[test]
fn a_join_ends_when_every_item_is_done() {
    let mut one = queue(None);
    let nothing = one.join();
    assert_eq!(one.bench.answer(nothing), Some(Ok(())));
    one.try_put(10);
    one.try_put(20);
    let joins = [(); 2].map(|()| one.join());
    let cancelled = one.join();
    one.bench.cancel(cancelled);

    assert!(one.task_done());
    assert!(one.bench.waits(joins[0]));
    assert!(one.task_done());
    for join in joins {
        assert_eq!(one.bench.answer(join), Some(Ok(())));
    }
    assert!(!one.task_done(), "once too often");
    let answer = one.bench.answer::<()>(cancelled).unwrap();
    assert_eq!(answer, Err(Fault::Cancelled));
}

#[test]
fn a_queue_for_no_item_is_refused() {
    let mut bench = Bench::new();
    let session = bench.session();
    let made = bench.try_create(session, Kind::Queue, packed(&Some(0u64)));
    assert!(matches!(made, Err(Fault::Invalid(_))), "{made:?}");
}

#[test]
fn an_item_that_nobody_could_get_is_not_put() {
    let mut one = One::with_max_frame(300, Kind::Queue, &None::<u64>);
    let mut longest = 0;
    for len in 0..300 {
        let value = packed(&"x".repeat(len));
        let put = QueueOp::Put { value, wait: true };
        match one.ask::<_, Put>(put) {
            Ok(put) => assert!(matches!(put, Put::Done { .. })),
            Err(fault) => {
                assert!(matches!(fault, Fault::TooLong { max_frame: 300, .. }));
                continue;
            }
        }
        let got: Got<Packed> = one.ask(QueueOp::Get { wait: true }).unwrap();
        assert!(matches!(got, Got::Item { .. }));
        longest = len;
    }
    assert!(longest > 200);
}

/// One call, as the queue and its twin are asked.
#[derive(Clone, Debug)]
enum Step {
    Put(u32),
    Get,
    /// The n-th of those that wait.
    Cancel(usize),
    /// The last one that was got.
    GiveBack,
    TaskDone,
    Join,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<u32>().prop_map(Step::Put),
        8 => Just(Step::Get),
        3 => (0..4usize).prop_map(Step::Cancel),
        2 => Just(Step::GiveBack),
        3 => Just(Step::TaskDone),
        1 => Just(Step::Join),
        1 => Just(Step::Close),
    ]
}

/// A queue with those who wait for it, slow and obvious.
#[derive(Default)]
struct Twin {
    capacity: usize,
    items: VecDeque<u32>,
    getters: VecDeque<Caller>,
    putters: VecDeque<(Caller, u32)>,
    joiners: Vec<Caller>,
    unfinished: usize,
    is_closed: bool,
    /// Who has to have been answered, and with what.
    got: Vec<(Caller, Option<u32>)>,
    put: Vec<(Caller, bool)>,
    joined: Vec<Caller>,
}

impl Twin {
    fn serve(&mut self) {
        loop {
            if self.items.len() < self.capacity
                && !self.is_closed
                && let Some((putter, value)) = self.putters.pop_front()
            {
                self.items.push_back(value);
                self.unfinished += 1;
                self.put.push((putter, true));
            } else if !self.getters.is_empty()
                && let Some(value) = self.items.pop_front()
            {
                let getter = self.getters.pop_front().unwrap();
                self.got.push((getter, Some(value)));
            } else {
                break;
            }
        }
        if self.is_closed {
            self.put
                .extend(self.putters.drain(..).map(|(putter, _)| (putter, false)));
            self.got
                .extend(self.getters.drain(..).map(|getter| (getter, None)));
        }
        if self.unfinished == 0 {
            self.joined.append(&mut self.joiners);
        }
    }

    /// Those who wait, in an order that both know.
    fn waiting(&self) -> Vec<Caller> {
        let putters = self.putters.iter().map(|(putter, _)| putter);
        let all = self.getters.iter().chain(putters).chain(&self.joiners);
        let mut all: Vec<Caller> = all.copied().collect();
        all.sort_unstable();
        all
    }

    fn forget(&mut self, call: Caller) {
        self.getters.retain(|getter| *getter != call);
        self.putters.retain(|(putter, _)| *putter != call);
        self.joiners.retain(|joiner| *joiner != call);
    }
}

fn check(
    one: &mut One,
    twin: &mut Twin,
    last: &mut Option<(u64, u32)>,
    step: Step,
) -> Result<(), TestCaseError> {
    match step {
        Step::Put(value) => {
            let put = one.put(one.session, value);
            twin.putters.push_back((put, value));
        }
        Step::Get => {
            let get = one.get(one.session);
            twin.getters.push_back(get);
        }
        Step::Cancel(at) => {
            if let Some(call) = twin.waiting().get(at).copied() {
                one.bench.cancel(call);
                twin.forget(call);
                let answer = one.bench.raw_answer(call);
                prop_assert_eq!(answer, Some(Err(Fault::Cancelled)));
            }
        }
        Step::GiveBack => {
            if let Some(got) = last.take() {
                one.give_back(got).unwrap();
                twin.items.push_front(got.1);
            }
        }
        Step::TaskDone => {
            prop_assert_eq!(one.task_done(), twin.unfinished > 0);
            twin.unfinished = twin.unfinished.saturating_sub(1);
        }
        Step::Join => {
            let join = one.join();
            twin.joiners.push(join);
        }
        Step::Close => {
            one.close_queue();
            twin.is_closed = true;
        }
    }
    twin.serve();
    for (getter, value) in std::mem::take(&mut twin.got) {
        match (one.bench.answer::<Got<Packed>>(getter), value) {
            (Some(Ok(Got::Item { ticket, value: got })), Some(value)) => {
                prop_assert_eq!(unpacked::<u32>(&got), value);
                *last = Some((ticket, value));
            }
            (Some(Ok(Got::Closed)), None) => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }
    for (putter, is_put) in std::mem::take(&mut twin.put) {
        let put = one.bench.answer::<Put>(putter).unwrap().unwrap();
        prop_assert_eq!(matches!(put, Put::Done { .. }), is_put);
        prop_assert_eq!(put == Put::Closed, !is_put);
    }
    for joiner in std::mem::take(&mut twin.joined) {
        prop_assert_eq!(one.bench.answer(joiner), Some(Ok(())));
    }
    for call in twin.waiting() {
        prop_assert!(one.bench.waits(call));
    }
    let state = one.state();
    prop_assert_eq!(state.len, twin.items.len() as u64);
    prop_assert_eq!(state.unfinished, twin.unfinished as u64);
    prop_assert_eq!(state.is_closed, twin.is_closed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_queue_is_as_two_lines_of_callers_and_one_of_items(
        capacity in proptest::option::of(1..4u64),
        steps in vec(step(), 1..60),
    ) {
        let mut one = queue(capacity);
        let capacity = capacity.map_or(usize::MAX, |capacity| capacity as usize);
        let mut twin = Twin { capacity, ..Twin::default() };
        let mut last = None;
        for step in steps {
            check(&mut one, &mut twin, &mut last, step)?;
        }
    }
}
