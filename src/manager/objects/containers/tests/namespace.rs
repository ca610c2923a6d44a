use super::*;
use crate::manager::objects::containers::NamespaceOp;

impl One {
    fn set<T: Serialize + 'static>(&mut self, name: &str, value: T) -> Result<(), Fault> {
        let op = NamespaceOp::Set {
            name: name.to_owned(),
            type_name: std::any::type_name::<T>().to_owned(),
            value: packed(&value),
        };
        self.ask(op)
    }

    fn attribute<T: DeserializeOwned + 'static>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        let op = NamespaceOp::Get {
            name: name.to_owned(),
            type_name: std::any::type_name::<T>().to_owned(),
        };
        let got = self.ask::<_, Option<Packed>>(op)?;
        Ok(got.as_ref().map(unpacked))
    }
}

#[test]
fn attributes_are_of_any_type_and_got_as_the_one_they_were_set_with() {
    let mut one = One::new(Kind::Namespace, &());
    one.set("count", 7u64).unwrap();
    one.set("title", "seven".to_owned()).unwrap();

    assert_eq!(one.attribute("count"), Ok(Some(7u64)));
    assert_eq!(one.attribute("title"), Ok(Some("seven".to_owned())));
    assert_eq!(one.attribute::<u64>("nothing"), Ok(None));
    let (expected, found) = ("u32".to_owned(), "u64".to_owned());
    let wrong = one.attribute::<u32>("count");
    assert_eq!(wrong, Err(Fault::WrongType { expected, found }));

    one.set("count", 'c').unwrap(); // another type by now
    assert_eq!(one.attribute("count"), Ok(Some('c')));
}

#[test]
fn attributes_are_named_sorted_and_removed() {
    let mut one = One::new(Kind::Namespace, &());
    for name in ["b", "a", "ä"] {
        one.set(name, 1u8).unwrap();
    }
    let name = || "b".to_owned();
    let names: Vec<String> = one.ask(NamespaceOp::Names).unwrap();
    assert_eq!(names, ["a", "b", "ä"]);
    assert_eq!(one.ask(NamespaceOp::Contains { name: name() }), Ok(true));
    assert_eq!(one.ask(NamespaceOp::Remove { name: name() }), Ok(true));
    assert_eq!(one.ask(NamespaceOp::Remove { name: name() }), Ok(false));
    assert_eq!(one.ask(NamespaceOp::Contains { name: name() }), Ok(false));
}

#[test]
fn private_names_and_names_of_no_length_are_refused() {
    let mut one = One::new(Kind::Namespace, &());
    for name in ["_private", "_", "", &"n".repeat(256)] {
        let set = one.set(name, 1u8);
        assert!(matches!(set, Err(Fault::Invalid(_))), "{name:?}: {set:?}");
        let got = one.attribute::<u8>(name);
        assert!(matches!(got, Err(Fault::Invalid(_))), "{name:?}: {got:?}");
    }
    one.set(&"n".repeat(255), 1u8).unwrap();
    one.set("not_private", 1u8).unwrap();
}
