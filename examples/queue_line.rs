//! A line of producers and consumers: numbers go in at one end, and come out at the other as what they are made of.
//!
//! Two queues, and three kinds of processes between them. The queues are bounded, so that a quick producer waits for the others and
//! the line holds a few items, however many go through it. A consumer that is killed loses the one item that it held, and the
//! line goes on.
//!
//! ```sh
//! cargo run --release --example queue_line
//! ```

use std::collections::BTreeMap;

use procession::{Process, Queue};

const NUMBERS: u64 = 20_000;
const PRODUCERS: u64 = 2;
const CONSUMERS: u64 = 3;

/// Puts every so manyth number in line.
#[procession::task]
fn produce(first: u64, line: Queue<u64>) -> Result<u64, procession::Failure> {
    let numbers = (first..=NUMBERS).step_by(PRODUCERS as usize);
    let count = numbers.clone().count();
    for number in numbers {
        line.put(number)?;
    }
    Ok(count as u64)
}

/// Takes numbers until there are no more, and passes on how many factors each has.
#[procession::task]
fn consume(line: Queue<u64>, done: Queue<(u64, u32)>) -> Result<u64, procession::Failure> {
    let mut count = 0;
    for number in line {
        let number = number?;
        done.put((number, factors(number)))?;
        count += 1;
    }
    Ok(count)
}

/// How many prime factors a number has.
fn factors(mut number: u64) -> u32 {
    let mut count = 0;
    let mut divisor = 2;
    while divisor * divisor <= number {
        while number.is_multiple_of(divisor) {
            number /= divisor;
            count += 1;
        }
        divisor += 1;
    }
    count + u32::from(number > 1)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let line = Queue::bounded(100)?;
    let done = Queue::bounded(100)?;
    let consumers = (0..CONSUMERS).map(|_| Process::spawn(consume, (line.clone(), done.clone())));
    let consumers = consumers.collect::<Result<Vec<_>, _>>()?;
    let producers = (1..=PRODUCERS).map(|first| Process::spawn(produce, (first, line.clone())));
    let producers = producers.collect::<Result<Vec<_>, _>>()?;

    // This thread closes a queue when nobody puts any more; the other one takes what comes.
    let taking = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut numbers = BTreeMap::new();
            for item in done {
                let (_, factors) = item?;
                *numbers.entry(factors).or_insert(0_u64) += 1;
            }
            Ok::<_, procession::queue::GetError>(numbers)
        }
    });
    for producer in producers {
        println!("a producer has put {} numbers", producer.join()??);
    }
    line.close()?;
    for consumer in consumers {
        println!("a consumer has taken {} numbers", consumer.join()??);
    }
    done.close()?;
    let numbers = taking
        .join()
        .map_err(|_| "the thread that takes has panicked")??;
    for (factors, count) in &numbers {
        println!("{count:6} numbers with {factors:2} prime factors");
    }
    println!("{} numbers in all", numbers.values().sum::<u64>());
    Ok(())
}
