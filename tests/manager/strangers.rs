//! A second program, which has the address and the key, and nothing else of this one.

use procession::manager::{
    ConnectError, DictProxy, Key, Manager, ManagerError, PutError, QueueProxy,
};
use serde::{Deserialize, Serialize, Serializer};

use super::programs::{finish, program};
use super::{On, Place, Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![On::Every;
        a_second_program_puts_values_and_they_come_as_they_are,
        a_value_that_does_not_encode_is_an_error_and_nothing_else,
        a_program_with_another_key_is_refused,
    ]
}

const ADDRESS: &str = "PROCESSION_TEST_ADDRESS";
const KEY: &str = "PROCESSION_TEST_KEY";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Any {
    Text(String),
    Nothing(Option<()>),
    Truth(bool),
    Number(f64),
    Bytes(Vec<u8>),
    Many(Vec<Any>),
}

fn values() -> Vec<Any> {
    let numbers = [0.1, -0.0, f64::MAX, f64::INFINITY].map(Any::Number);
    vec![
        Any::Text("hello".to_owned()),
        Any::Text("Grüße, 世界 🦀\0\n".to_owned()),
        Any::Text(String::new()),
        Any::Nothing(None),
        Any::Nothing(Some(())),
        Any::Truth(true),
        Any::Truth(false),
        Any::Bytes((0..=255).collect()),
        Any::Bytes(vec![7; 100_000]),
        Any::Many(numbers.to_vec()),
    ]
}

/// A program: finds a queue by its name, and puts values there.
pub(crate) fn puts_values() {
    procession::init();
    let key: Key = std::env::var(KEY).unwrap().parse().unwrap();
    let address = std::env::var(ADDRESS).unwrap().parse().unwrap();
    let manager = match Manager::connect(&address, &key) {
        Ok(manager) => manager,
        Err(error @ ManagerError::Connect(ConnectError::Refused { .. })) => {
            println!("{error}");
            return;
        }
        Err(error) => panic!("{error:?}"),
    };
    let queue: QueueProxy<Any> = manager.get("values").unwrap();
    for value in values() {
        queue.put(value).unwrap();
    }
    let notes: DictProxy<String, bool> = manager.get("notes").unwrap();
    notes
        .insert("it has put all, schön".to_owned(), true)
        .unwrap();
    println!("{}", queue.len().unwrap());
}

fn a_second_program_puts_values_and_they_come_as_they_are(place: Place) {
    let manager = place.manager();
    let queue = manager.queue::<Any>().unwrap();
    let notes = manager.dict::<String, bool>().unwrap();
    manager.publish("values", &queue).unwrap();
    manager.publish("notes", &notes).unwrap();
    let mut command = program("puts_values");
    command.env(ADDRESS, manager.address().to_string());
    let finished = finish(command.env(KEY, manager.key().to_hex())).succeeded();
    assert_eq!(finished.lines(), [values().len().to_string()]);
    for value in values() {
        assert_eq!(queue.get().unwrap(), value);
    }
    assert!(queue.is_empty().unwrap());
    assert_eq!(
        notes.get(&"it has put all, schön".to_owned()).unwrap(),
        Some(true)
    );
}

#[derive(Debug, Deserialize)]
struct Unwritable(u8);

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

fn a_value_that_does_not_encode_is_an_error_and_nothing_else(place: Place) {
    let manager = place.manager();
    let queue = manager.queue::<Unwritable>().unwrap();
    match queue.put(Unwritable(3)) {
        Err(PutError::Manager {
            value: Unwritable(3),
            source: ManagerError::NotEncoded { type_name, .. },
        }) => assert!(type_name.ends_with("Unwritable"), "{type_name}"),
        other => panic!("{other:?}"),
    }
    let list = manager.list::<Unwritable>().unwrap();
    let pushed = list.push(Unwritable(4));
    assert!(
        matches!(pushed, Err(ManagerError::NotEncoded { .. })),
        "{pushed:?}"
    );
    assert!(queue.is_empty().unwrap() && list.is_empty().unwrap());
}

fn a_program_with_another_key_is_refused(place: Place) {
    let manager = place.manager();
    let before = manager.status().unwrap();
    let mut command = program("puts_values");
    command.env(ADDRESS, manager.address().to_string());
    let key = Key::generate().unwrap().to_hex();
    let finished = finish(command.env(KEY, key)).succeeded();
    let expected = format!("the manager at {} has another key", manager.address());
    assert_eq!(finished.lines(), [expected]);
    assert_eq!(manager.status().unwrap(), before);
}
