//! What arrives.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use procession::{
    Descriptor, Executor, ExecutorExt as _, InlineExecutor, Promise, SubmitError,
    ThreadPoolExecutor,
};

use super::support::Case;
use super::tasks::*;
use super::{numbered, pool, said, text_of};

pub(crate) fn tests() -> Vec<Case> {
    super::support::tests![
        a_file_is_an_argument,
        a_file_is_a_result,
        every_executor_passes_them_on,
        they_are_parts_of_values,
        they_keep_their_order_however_many_they_are,
        one_that_is_named_twice_travels_once,
        a_pipe_is_at_its_end_when_its_writers_have_ended,
        a_task_that_writes_and_one_that_reads_run_together,
        a_socket_is_an_argument,
        a_result_is_decoded_as_often_as_asked,
        a_promise_carries_one,
        a_large_payload_has_some_beside_it,
        a_text_says_why_one_cannot_go_elsewhere,
        a_function_that_is_named_takes_one,
    ]
}

fn a_file_is_an_argument() {
    let pool = pool(1);
    let future = pool.submit(read, said("hello")).unwrap();
    assert_eq!(future.wait().unwrap(), "hello");
    let future = pool.submit(read_two, (said("a"), 5, said("b"))).unwrap();
    assert_eq!(future.wait().unwrap(), "a 5 b");
}

fn a_file_is_a_result() {
    let pool = pool(1);
    let made = pool.submit(make, "from afar".into()).unwrap().wait();
    assert_eq!(text_of(&made.unwrap()), "from afar");
}

fn every_executor_passes_them_on() {
    let executors: [Box<dyn Executor>; 3] = [
        Box::new(pool(1)),
        Box::new(ThreadPoolExecutor::with_max_workers(1).unwrap()),
        Box::new(InlineExecutor::new()),
    ];
    for executor in executors {
        let echoed = executor.submit(echo, numbered(3)).unwrap().wait().unwrap();
        let texts: Vec<_> = echoed.iter().map(text_of).collect();
        assert_eq!(texts, ["0", "1", "2"]);
        let items = (0..4).map(|n| (said(&n.to_string()), n, said("x")));
        let texts: Result<Vec<_>, _> = executor.map(read_two, items).chunksize(2).collect();
        assert_eq!(texts.unwrap(), ["0 0 x", "1 1 x", "2 2 x", "3 3 x"]);
        let made: Vec<_> = executor
            .map(make_if_even, 0..5)
            .chunksize(3)
            .map(|made| made.unwrap().as_ref().map(text_of))
            .collect();
        let of = |n: u32| Some(n.to_string());
        assert_eq!(made, [of(0), None, of(2), None, of(4)]);
    }
}

fn they_are_parts_of_values() {
    let parcel = Parcel {
        label: "parcel".into(),
        one: said("one"),
        perhaps: Some(said("perhaps")),
        many: numbered(2),
        named: BTreeMap::from([("name".into(), said("named"))]),
        either: Ok(said("either")),
    };
    let pool = pool(1);
    let parcel = pool.submit(unpack, parcel).unwrap().wait().unwrap();
    let expected = r#"parcel one Some("perhaps") ["0", "1"] [("name", "named")] Ok("either")"#;
    assert_eq!(parcel.label, expected);
    // And back.
    let without = Parcel {
        label: "again".into(),
        perhaps: None,
        either: Err(7),
        ..parcel
    };
    let parcel = pool.submit(unpack, without).unwrap().wait().unwrap();
    let expected = r#"again one None ["0", "1"] [("name", "named")] Err(7)"#;
    assert_eq!(parcel.label, expected);
}

fn they_keep_their_order_however_many_they_are() {
    let pool = pool(1);
    for count in [0, 1, 2, 252, 253, 254, 506, 507, 1000] {
        let echoed = pool.submit(echo, numbered(count)).unwrap().wait().unwrap();
        assert_eq!(echoed.len(), count);
        for (number, descriptor) in echoed.iter().enumerate() {
            assert_eq!(text_of(descriptor), number.to_string());
        }
    }
}

fn one_that_is_named_twice_travels_once() {
    let pool = pool(1);
    let before = pool.submit(count, ()).unwrap().wait().unwrap();
    let shared = said("shared");
    let echoed = pool.submit(echo, vec![shared; 5000]).unwrap();
    let echoed = echoed.wait().unwrap();
    assert_eq!(echoed.len(), 5000);
    assert_eq!(text_of(&echoed[4999]), "shared");
    assert_eq!(pool.submit(count, ()).unwrap().wait().unwrap(), before);
}

fn a_pipe_is_at_its_end_when_its_writers_have_ended() {
    let pool = pool(2);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let writer = Descriptor::new(writer);
    let parts = ["a", "b", "c"].map(|part| {
        let future = pool.submit(write, (writer.clone(), part.into()));
        future.unwrap()
    });
    drop(writer);
    let mut text = String::new();
    super::support::awaiting("the end of the pipe");
    reader.read_to_string(&mut text).unwrap();
    let mut letters: Vec<_> = text.chars().collect();
    letters.sort_unstable();
    assert_eq!(letters, ['a', 'b', 'c']);
    for part in parts {
        part.wait().unwrap().unwrap();
    }
}

/// The writer would be sent behind the reader if it were sent ahead, and its end would be open there for as long as that
/// waits for it.
fn a_task_that_writes_and_one_that_reads_run_together() {
    let pool = pool(2);
    // So that the functions are known to be short.
    for _ in 0..20 {
        let (reader, writer) = std::io::pipe().unwrap();
        let write = pool.submit(write, (Descriptor::new(writer), "x".into()));
        write.unwrap().wait().unwrap().unwrap();
        let drain = pool.submit(drain, Descriptor::new(reader)).unwrap();
        assert_eq!(drain.wait().unwrap().unwrap(), "x");
    }
    for _ in 0..20 {
        let mut futures = Vec::new();
        for n in 0..10 {
            let (reader, writer) = std::io::pipe().unwrap();
            futures.push((n, pool.submit(drain, Descriptor::new(reader)).unwrap()));
            let text = n.to_string();
            let writes = pool.submit(write, (Descriptor::new(writer), text));
            drop(writes.unwrap());
        }
        super::support::awaiting("every reader");
        for (n, future) in futures {
            assert_eq!(future.wait().unwrap().unwrap(), n.to_string());
        }
    }
}

fn a_socket_is_an_argument() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let pool = pool(1);
    let drained = pool.submit(drain, Descriptor::new(server)).unwrap();
    client.write_all(b"through the net").unwrap();
    drop(client);
    assert_eq!(drained.wait().unwrap().unwrap(), "through the net");
}

fn a_result_is_decoded_as_often_as_asked() {
    let pool = pool(1);
    let future = pool.submit(make, "again".into()).unwrap();
    let (first, second) = (future.wait().unwrap(), future.wait().unwrap());
    drop(first);
    assert_eq!(text_of(&second), "again");
    drop(future);
    assert_eq!(super::text_in(second.into_owned().unwrap()), "again");
}

fn a_promise_carries_one() {
    let (promise, future) = Promise::new();
    promise.complete(Ok(vec![said("promised")]));
    assert_eq!(text_of(&future.wait().unwrap()[0]), "promised");
}

fn a_large_payload_has_some_beside_it() {
    #[procession::task]
    fn weigh(bytes: Vec<u8>, from: Descriptor) -> (Vec<u8>, Descriptor, String) {
        let text = text_of(&from);
        (bytes, from, text)
    }
    let pool = pool(1);
    for len in [10, 8_000, 20_000, 3_000_000] {
        let future = pool.submit(weigh, (vec![7; len], said("beside"))).unwrap();
        let (bytes, descriptor, text) = future.wait().unwrap();
        assert_eq!((bytes.len(), &*text), (len, "beside"));
        assert_eq!(text_of(&descriptor), "beside");
    }
}

fn a_text_says_why_one_cannot_go_elsewhere() {
    let refused = serde_json::to_string(&said("x")).unwrap_err().to_string();
    assert!(refused.contains("it holds a descriptor"), "{refused}");
    let refused = serde_json::from_str::<Descriptor>("0").unwrap_err();
    assert!(refused.to_string().contains("none can come here"));
    // Nor within a task.
    let pool = pool(1);
    let refused = pool.submit(as_json, said("x")).unwrap().wait().unwrap();
    assert!(refused.unwrap_err().contains("it holds a descriptor"));
}

fn a_function_that_is_named_takes_one() {
    let pool = pool(1);
    let name = "travel::tasks::read";
    let read = pool.submit_by_name::<String>(name, &said("named"));
    assert_eq!(read.unwrap().wait().unwrap(), "named");
    let refused = pool.submit_by_name::<String>("nobody", &said("x"));
    assert!(matches!(refused, Err(SubmitError::NotRegistered { .. })) || refused.is_err());
}
