//! The rules of the house that no compiler checks.
//!
//! * The order of the `mod` lines in `src/lib.rs` is the order of dependency: a module names only
//!   modules that are declared before it.
//! * `unsafe` is in `src/sys` and nowhere else, and every use of it says why it is sound.
//! * Outside of tests nothing is unwrapped, but for what is listed here with a reason.
//! * Nothing in `src` sleeps.
//! * A file of `src` has at most [`MAX_LINES`] lines, tests not counted: past that, look for the
//!   second subject.
//! * No path of somebody's machine is in the repository.
//!
//! Code under `cfg(test)`, `cfg(fuzzing)` or both counts as tests. The rules are read off the words of
//! the source, without comments and strings; at the end, each rule is shown to refuse what it is for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How long a file of `src` may be.
const MAX_LINES: usize = 500;

/// Every `expect` outside of tests: the file, what it says, and why it cannot happen.
const JUSTIFIED: [(&str, &str, &str); 4] = [
    (
        "src/frame/mod.rs",
        "a frame that was begun has room for its header",
        "`finish` is given what `begin` returned, and the buffer only grows in between",
    ),
    (
        "src/registry/block_on.rs",
        "the worker's runtime returned before the task's future was ready",
        "it is the user's runtime that broke its promise, within a task, whose panic is caught",
    ),
    (
        "src/registry/function.rs",
        "a shim describes its function when it is asked to",
        "every shim is made by one generic function in the same file, which does",
    ),
    (
        "src/shared/value.rs",
        "a value's memory holds the value",
        "it is made with that length, and one that arrives is refused if it has another",
    ),
];

#[test]
fn modules_name_only_modules_declared_before_them() {
    let house = House::read();
    refuse(house.files.iter().flat_map(|file| house.layers(file)));
}

#[test]
fn unsafe_is_in_sys_and_says_why() {
    let house = House::read();
    refuse(house.files.iter().flat_map(unsafe_words));
}

#[test]
fn nothing_is_unwrapped_but_with_a_reason() {
    let house = House::read();
    let mut left = JUSTIFIED.to_vec();
    let mut found = Vec::new();
    for file in &house.files {
        for (line, said) in unwraps(&file.words) {
            let listed = left
                .iter()
                .position(|(name, text, _)| *name == file.name && said == *text);
            match listed {
                Some(listed) => drop(left.remove(listed)),
                None => found.push(format!(
                    "{}:{line}: `unwrap` or `expect` without a reason in tests/tidy.rs",
                    file.name
                )),
            }
        }
    }
    let stale = left.iter().map(|(name, text, _)| {
        format!("{name}: {text:?} is listed in tests/tidy.rs, and is not there any more")
    });
    refuse(found.into_iter().chain(stale));
}

#[test]
fn nothing_sleeps() {
    let house = House::read();
    refuse(house.files.iter().flat_map(|file| {
        sleeps(&file.all_words)
            .into_iter()
            .map(|line| format!("{}:{line}: wait for what happens, not for time", file.name))
    }));
}

#[test]
fn files_are_short() {
    let house = House::read();
    refuse(house.files.iter().filter_map(|file| {
        let lines = file.lines;
        (lines > MAX_LINES).then(|| format!("{}: {lines} lines, of {MAX_LINES}", file.name))
    }));
}

#[test]
fn every_file_of_src_is_a_module() {
    let house = House::read();
    let known: Vec<&str> = house.files.iter().map(|file| &*file.name).collect();
    let known = |name: &String| !known.contains(&&**name) && !house.tests.contains(name);
    let mut files = Vec::new();
    list(&root().join("src"), &mut files);
    let files = files.iter().map(|path| name_of(path));
    refuse(
        files
            .filter(|name| name.ends_with(".rs"))
            .filter(known)
            .map(|name| format!("{name}: no `mod` line leads here")),
    );
}

#[test]
fn no_path_of_a_machine_is_in_the_repository() {
    // In pieces, so that this file passes.
    let paths = ["home", "root", "Users", "work"].map(|folder| format!("/{folder}/"));
    let mut files = Vec::new();
    list(&root(), &mut files);
    refuse(files.iter().flat_map(|path| {
        let text = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let found = paths.iter().filter(move |machine| text.contains(*machine));
        found.map(|machine| format!("{}: names {machine}…", name_of(path)))
    }));
}

fn refuse(found: impl IntoIterator<Item = String>) {
    let mut report = String::new();
    for line in found {
        let _ = writeln!(report, "  {line}");
    }
    assert!(report.is_empty(), "\n{report}");
}

/// `src`, as its `mod` lines lay it out.
struct House {
    /// The top modules, in their order.
    modules: Vec<String>,
    /// What `lib.rs` re-exports, and from which module.
    exports: HashMap<String, String>,
    /// Every file that is not a test's.
    files: Vec<File>,
    /// The names of those that are.
    tests: Vec<String>,
}

/// A file of `src`.
struct File {
    /// From the repository on.
    name: String,
    /// Where it stands: `executor`, `process`, `pool`. Empty for `lib.rs`.
    path: Vec<String>,
    /// Without tests and comments.
    words: Vec<Word>,
    all_words: Vec<Word>,
    /// How many lines are not tests.
    lines: usize,
}

impl House {
    fn read() -> Self {
        let mut house = Self {
            modules: Vec::new(),
            exports: HashMap::new(),
            files: Vec::new(),
            tests: Vec::new(),
        };
        house.walk(&root().join("src/lib.rs"), Vec::new(), false);
        let lib = &house.files[0];
        house.modules = declared(&lib.words).map(|(name, _)| name).collect();
        house.exports = exports(&lib.words);
        house
    }

    /// Reads a file and everything below it.
    fn walk(&mut self, file: &Path, path: Vec<String>, is_test: bool) {
        let source =
            fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let all_words = words(&source);
        let (words, test_lines) = without_tests(&all_words);
        let ordinary: Vec<String> = declared(&words).map(|(name, _)| name).collect();
        let children: Vec<String> = declared(&all_words).map(|(name, _)| name).collect();
        let is_folder = path.is_empty() || file.ends_with("mod.rs");
        let folder = if is_folder {
            file.with_file_name("")
        } else {
            file.with_extension("")
        };
        if is_test {
            self.tests.push(name_of(file));
        } else {
            self.files.push(File {
                name: name_of(file),
                path: path.clone(),
                words: words
                    .into_iter()
                    .filter(|word| !word.is_comment())
                    .collect(),
                all_words,
                lines: source.lines().count() - test_lines,
            });
        }
        for child in children {
            let is_test = is_test || !ordinary.contains(&child);
            let inner = folder.join(&child).join("mod.rs");
            let beside = folder.join(format!("{child}.rs"));
            let file = if inner.exists() { inner } else { beside };
            let path = path.iter().cloned().chain([child]).collect();
            self.walk(&file, path, is_test);
        }
    }

    /// What a file names that is declared after its own module.
    fn layers(&self, file: &File) -> Vec<String> {
        let Some(own) = file.path.first() else {
            // lib.rs is where they are put together.
            return Vec::new();
        };
        let place = |name: &str| self.modules.iter().position(|module| module == name);
        let is_later = |name: &str| {
            let module = self.exports.get(name).map_or(name, |module| module);
            place(module) > place(own)
        };
        named_from_the_root(&file.words, file.path.len())
            .into_iter()
            .filter(|(_, name)| is_later(name))
            .map(|(line, name)| format!("{}:{line}: `{own}` comes before `{name}`", file.name))
            .collect()
    }
}

/// Everything that is named by way of the crate's root, with its line, in a file that stands `depth`
/// modules below it.
fn named_from_the_root(words: &[Word], depth: usize) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    // For each open brace, whether it is an inline module's.
    let mut braces = Vec::new();
    for at in 0..words.len() {
        let text = |offset: usize| words.get(at + offset).map_or("", |word| &*word.text);
        let before = at.checked_sub(1).map_or("", |before| &*words[before].text);
        match text(0) {
            "{" => braces.push(at >= 2 && words[at - 2].text == "mod"),
            "}" => drop(braces.pop()),
            "crate" if text(1) == "::" => named.extend(first_names(&words[at + 2..])),
            "super" if before != "::" => {
                let climbed = (0..)
                    .take_while(|&step| text(2 * step) == "super" && text(2 * step + 1) == "::")
                    .count();
                let below = depth + braces.iter().filter(|is_module| **is_module).count();
                if climbed == below {
                    named.extend(first_names(&words[at + 2 * climbed..]));
                }
            }
            _ => {}
        }
    }
    named
}

/// The name that a path goes on with, or all those of a group.
fn first_names(words: &[Word]) -> Vec<(usize, String)> {
    let Some(first) = words.first() else {
        return Vec::new();
    };
    if first.text != "{" {
        return vec![(first.line, first.text.clone())];
    }
    let mut depth = 0;
    let mut names = Vec::new();
    let mut is_first = false;
    for word in words {
        match &*word.text {
            "{" => {
                depth += 1;
                is_first = depth == 1;
            }
            "}" => depth -= 1,
            "," => is_first = depth == 1,
            _ if is_first => {
                names.push((word.line, word.text.clone()));
                is_first = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// `mod name;` lines, with their places.
fn declared(words: &[Word]) -> impl Iterator<Item = (String, usize)> {
    words.windows(3).enumerate().filter_map(|(at, words)| {
        let is_declared = words[0].text == "mod" && words[2].text == ";";
        is_declared.then(|| (words[1].text.clone(), at))
    })
}

/// `pub use module::name` and `pub use module::{name, …}`, as name and module.
fn exports(words: &[Word]) -> HashMap<String, String> {
    let mut exports = HashMap::new();
    for at in 0..words.len() {
        let [first, second, module, colons, ..] = &words[at..] else {
            break;
        };
        if (&*first.text, &*second.text, &*colons.text) == ("pub", "use", "::") {
            let names = first_names(&words[at + 4..]).into_iter();
            exports.extend(names.map(|(_, name)| (name, module.text.clone())));
        }
    }
    exports
}

/// `unsafe` where it does not belong, or without its argument.
fn unsafe_words(file: &File) -> Vec<String> {
    let words = &file.all_words;
    let in_sys = file.path.first().is_some_and(|module| module == "sys");
    let places = (0..words.len()).filter(|&at| words[at].text == "unsafe");
    places
        .filter_map(|at| {
            let argument = match words.get(at + 1).map_or("", |word| &*word.text) {
                "fn" | "trait" => "# Safety",
                _ => "SAFETY:",
            };
            // What stands between the statement before and this word.
            let lead = words[..at]
                .iter()
                .rev()
                .take_while(|word| !matches!(&*word.text, ";" | "{" | "}"));
            let has_argument = lead
                .into_iter()
                .any(|word| word.is_comment() && word.text.contains(argument));
            let wrong = match (in_sys, has_argument) {
                (true, true) => return None,
                (true, false) => format!("no `{argument}` comment"),
                (false, _) => "belongs in src/sys".to_owned(),
            };
            Some(format!(
                "{}:{}: `unsafe`: {wrong}",
                file.name, words[at].line
            ))
        })
        .collect()
}

/// `.unwrap()` and `.expect("…")`, with the line and the words.
fn unwraps(words: &[Word]) -> Vec<(usize, &str)> {
    let calls = words.windows(4);
    calls
        .filter(|call| call[0].text == "." && call[2].text == "(")
        .filter(|call| matches!(&*call[1].text, "unwrap" | "expect"))
        .map(|call| (call[1].line, call[3].text.trim_matches('"')))
        .collect()
}

/// The lines that name a function called `sleep`.
fn sleeps(words: &[Word]) -> Vec<usize> {
    let pairs = words.windows(2);
    pairs
        .filter(|pair| matches!(&*pair[0].text, "::" | "{" | ",") && pair[1].text == "sleep")
        .map(|pair| pair[1].line)
        .collect()
}

/// A word of the source: an identifier, a number, a string, a sign or a comment.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    line: usize,
}

impl Word {
    fn is_comment(&self) -> bool {
        self.text.starts_with("//") || self.text.starts_with("/*")
    }
}

/// Takes source text apart.
fn words(source: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let len = length_of_word(rest, first);
        let (text, after) = rest.split_at(len);
        if !first.is_whitespace() {
            let text = text.to_owned();
            words.push(Word { text, line });
        }
        line += text_lines(&rest[..len]);
        rest = after;
    }
    words
}

fn text_lines(text: &str) -> usize {
    text.matches('\n').count()
}

fn length_of_word(rest: &str, first: char) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let until = |end: &str, from: usize| {
        let found = rest[from..].find(end);
        found.map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        until("*/", 2)
    } else if rest.starts_with("::") {
        2
    } else if first == '"' {
        length_of_string(rest)
    } else if let Some(hashes) = raw_string(rest) {
        let open = rest.find('"').unwrap_or(0) + 1;
        until(&format!("\"{}", "#".repeat(hashes)), open)
    } else if rest.starts_with("b\"") || rest.starts_with("c\"") {
        1 + length_of_string(&rest[1..])
    } else if first == '\'' {
        // A character, unless it is a lifetime.
        let mut inner = rest[1..].chars();
        match (inner.next(), inner.next()) {
            (Some('\\'), _) => until("'", 3),
            (Some(inner), Some('\'')) => 2 + inner.len_utf8(),
            _ => 1,
        }
    } else if is_word(first) {
        rest.find(|c| !is_word(c)).unwrap_or(rest.len())
    } else {
        first.len_utf8()
    }
}

fn length_of_string(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        is_end
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

/// How many `#` a raw string that begins here has.
fn raw_string(rest: &str) -> Option<usize> {
    let rest = rest.strip_prefix('b').unwrap_or(rest);
    let hashes = rest.strip_prefix('r')?;
    let string = hashes.trim_start_matches('#');
    string
        .starts_with('"')
        .then_some(hashes.len() - string.len())
}

/// The words that are not under `cfg(test)` or its like, and how many lines the others take.
fn without_tests(words: &[Word]) -> (Vec<Word>, usize) {
    let mut kept = Vec::new();
    let mut lines = 0;
    let mut at = 0;
    while at < words.len() {
        let is_attribute =
            words[at].text == "#" && words.get(at + 1).is_some_and(|w| w.text == "[");
        if !is_attribute {
            kept.push(words[at].clone());
            at += 1;
            continue;
        }
        let end = after_group(words, at + 1);
        if is_for_tests(&words[at..end]) {
            let end = after_item(words, end);
            lines += words[end - 1].line + 1 - words[at].line;
            at = end;
        } else {
            kept.extend_from_slice(&words[at..end]);
            at = end;
        }
    }
    (kept, lines)
}

/// Whether an attribute is a `cfg` that names `test` or `fuzzing` other than by `not(…)`.
fn is_for_tests(attribute: &[Word]) -> bool {
    let mut negated = Vec::new();
    for pair in attribute.windows(2) {
        match &*pair[1].text {
            "(" => negated.push(pair[0].text == "not"),
            ")" => drop(negated.pop()),
            "test" | "fuzzing" if !negated.is_empty() && !negated.contains(&true) => {
                return attribute[2].text == "cfg";
            }
            _ => {}
        }
    }
    false
}

/// The place after the bracket that closes the one at `open`.
fn after_group(words: &[Word], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, word) in words.iter().enumerate().skip(open) {
        match &*word.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    words.len()
}

/// The place after the item that begins at `at`: after its `;`, or after its body.
fn after_item(words: &[Word], mut at: usize) -> usize {
    while let Some(word) = words.get(at) {
        match &*word.text {
            ";" => return at + 1,
            "{" => return after_group(words, at),
            "(" | "[" => at = after_group(words, at),
            ")" | "]" | "}" => return at,
            _ => at += 1,
        }
    }
    words.len()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn name_of(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    inside.display().to_string()
}

/// Every file of the repository below a folder.
fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let is_made = ["target", ".git", "artifacts", "coverage"]
            .iter()
            .any(|made| name == *made);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !is_made => list(&path, files),
            // In a second working tree, `.git` is a file.
            Ok(kind) if kind.is_file() && !is_made => files.push(path),
            _ => {}
        }
    }
}

// ---- the rules refuse what they are for ----

/// What a module of the layers `low`, `own`, `high` names from `high`.
fn refused(source: &str) -> usize {
    let words = words(source);
    let file = File {
        name: "src/own/part.rs".into(),
        path: vec!["own".into(), "part".into()],
        lines: 0,
        words: without_tests(&words).0,
        all_words: words,
    };
    let house = House {
        modules: ["low", "own", "high"].map(String::from).to_vec(),
        exports: HashMap::from([("High".to_owned(), "high".to_owned())]),
        files: Vec::new(),
        tests: Vec::new(),
    };
    house.layers(&file).len()
}

#[test]
fn the_layers_are_seen_however_they_are_named() {
    for (source, count) in [
        ("use crate::low::Low;", 0),
        ("use crate::own::other;", 0),
        ("use crate::high::High;", 1),
        ("use crate::{low::Low, high::{self, low}};", 1),
        ("use crate::{high, low::high, own};", 1),
        ("use crate::High;", 1),
        ("fn f() -> crate::high::High { crate::high::new() }", 2),
        ("macro_rules! m { () => { $crate::high::f() } }", 1),
        ("use super::super::high::High;", 1),
        ("use super::high::High;", 0),
        ("mod inner { use super::super::super::high::High; }", 1),
        ("mod inner { use super::super::high::High; }", 0),
        (
            "// crate::high\n/// [`High`](crate::high::High)\nfn f() {}",
            0,
        ),
        (
            "const TEXT: &str = \"crate::high\"; const C: char = '\"'; // crate::high",
            0,
        ),
        (
            "const RAW: &str = r#\"\" crate::high\"#; use crate::high;",
            1,
        ),
        ("#[cfg(test)]\nmod tests { use crate::high; }", 0),
        (
            "#[cfg(all(test, not(loom)))]\nmod tests;\nuse crate::high;",
            1,
        ),
        ("#[cfg(not(test))]\nuse crate::high;", 1),
        ("#[cfg(any(test, fuzzing))]\nfn f() { crate::high::f() }", 0),
    ] {
        assert_eq!(refused(source), count, "{source}");
    }
}

#[test]
fn unsafe_is_seen() {
    let refused = |module: &str, source: &str| {
        let file = File {
            name: String::new(),
            path: vec![module.into()],
            words: Vec::new(),
            all_words: words(source),
            lines: 0,
        };
        unsafe_words(&file).len()
    };
    let argued = "// SAFETY: why.\nlet x = unsafe { f() };";
    assert_eq!(refused("sys", argued), 0);
    assert_eq!(refused("page", argued), 1);
    assert_eq!(
        refused("sys", "// SAFETY: why.\ng();\nlet x = unsafe { f() };"),
        1
    );
    assert_eq!(
        refused("sys", "/// # Safety\n///\n/// why\npub unsafe fn f();"),
        0
    );
    assert_eq!(refused("sys", "pub unsafe fn f();"), 1);
    assert_eq!(
        refused("page", "// `unsafe` is a word\nconst U: &str = \"unsafe\";"),
        0
    );
}

#[test]
fn unwraps_and_sleeps_are_seen() {
    let found = words("x.unwrap(); x.unwrap_or(1); x\n.expect(\"it is\"); // x.unwrap()");
    assert_eq!(unwraps(&found), [(1, ")"), (2, "it is")]);
    let found = words("thread::sleep(d);\nuse std::thread::{self, sleep};\nlet sleep = 1;");
    assert_eq!(sleeps(&found), [1, 2]);
}

#[test]
fn the_lines_of_tests_are_not_counted() {
    let source = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n\nfn h() {}\n";
    assert_eq!(without_tests(&words(source)).1, 4);
}
