//! With which two letters do words begin? Workers count them in text files, all in one array that they share.
//!
//! ```sh
//! cargo run --release --example word_counts
//! cargo run --release --example word_counts -- novel.txt letters.txt
//! ```
//!
//! A word is two or more of the letters from A to Z in a row. Without arguments, the texts are this repository's own.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use procession::shared::Array;
use procession::{Failure, ProcessPoolExecutor};

const LETTERS: usize = 26;

/// Adds the words of one file to the counts, and says how many there were.
///
/// The array is no copy: it is a handle to the memory that all of them have. The counts are atomics, so nobody waits for
/// anybody.
#[procession::task]
fn count(file: PathBuf, counts: Array<u64>) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(file)?;
    let counts = counts.as_atomic();
    let mut words = 0;
    for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
        if let [first, second, ..] = *word.as_bytes() {
            let place = place_of(first) * LETTERS + place_of(second);
            counts[place].fetch_add(1, Ordering::Relaxed);
            words += 1;
        }
    }
    Ok(words)
}

fn place_of(letter: u8) -> usize {
    usize::from(letter.to_ascii_lowercase() - b'a')
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let files = files()?;
    let counts = Array::<u64>::new(LETTERS * LETTERS)?;

    let pool = ProcessPoolExecutor::new()?;
    let mut words = 0;
    let tasks = files.iter().map(|file| (file.clone(), counts.clone()));
    for (file, counted) in files.iter().zip(pool.map(count, tasks)) {
        match counted? {
            Ok(of_file) => words += of_file,
            Err(error) => eprintln!("{}: {error}", file.display()),
        }
    }

    let mut by_count: Vec<_> = (0..).zip(counts.lock()?.to_vec()).collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (place, count) in &by_count[..10] {
        let letter = |place: usize| char::from(b'a' + place as u8);
        let (first, second) = (letter(place / LETTERS), letter(place % LETTERS));
        println!("{first}{second} {count:>8}");
    }
    let total: u64 = by_count.iter().map(|(_, count)| count).sum();
    println!("{total} words in {} files", files.len());
    // Nothing was lost where two workers counted the same letters at the same time.
    assert_eq!(total, words);
    Ok(())
}

fn files() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let named: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in [own.to_path_buf(), own.join("docs")] {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                texts.push(path);
            }
        }
    }
    Ok(texts)
}
