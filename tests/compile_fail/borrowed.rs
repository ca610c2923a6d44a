use std::borrow::Cow;

#[procession::task]
fn argument(text: &str) -> usize {
    text.len()
}

#[procession::task]
fn inside(texts: Vec<(u8, &'static str)>, more: Option<Cow<'_, str>>) -> usize {
    texts.len() + more.map_or(0, |text| text.len())
}

#[procession::task]
fn result(n: u8) -> Option<&'static str> {
    (n > 0).then_some("positive")
}

#[procession::task]
fn lifetime<'a>(text: Cow<'a, str>) -> Cow<'a, str> {
    text
}

fn main() {
    // The functions are there all the same: their callers are no errors.
    argument("a");
    inside(vec![], None);
    result(1);
    lifetime("a".into());
}
