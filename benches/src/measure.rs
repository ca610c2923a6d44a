//! Turns, medians, ratios.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Error;
use crate::table::Peer;

/// What one turn of one contestant gives: a figure, or several.
pub type Figures = Vec<f64>;

/// Somebody who is measured, and what it does when it is its turn.
pub type Contestant<'a> = (Peer, Box<dyn FnMut() -> Result<Figures, Error> + 'a>);

/// What everybody did.
pub struct Results(Vec<(Peer, Vec<Figures>)>);

/// Gives everybody a turn, again and again. The first one warms everything up, and is forgotten.
pub fn in_turns(rounds: usize, mut contestants: Vec<Contestant<'_>>) -> Result<Results, Error> {
    let mut results: Vec<_> = contestants
        .iter()
        .map(|(peer, _)| (*peer, Vec::new()))
        .collect();
    for round in 0..=rounds {
        for ((_, turn), (peer, figures)) in contestants.iter_mut().zip(&mut results) {
            let figure = turn().map_err(|error| format!("{}: {error}", peer.name()))?;
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    Ok(Results(results))
}

impl Results {
    /// The median of somebody's figures.
    pub fn median(&self, peer: Peer, at: usize) -> Option<f64> {
        let (_, figures) = self.0.iter().find(|(of, _)| *of == peer)?;
        Some(median(figures.iter().map(|figures| figures[at])))
    }

    /// The median of the ratios of two in each turn.
    pub fn ratio(&self, of: Peer, to: Peer, at: usize) -> Option<f64> {
        let figures = |peer| self.0.iter().find(|(of, _)| *of == peer).map(|(_, f)| f);
        let pairs = figures(of)?.iter().zip(figures(to)?);
        Some(median(pairs.map(|(of, to)| of[at] / to[at])))
    }
}

pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How long something takes, in seconds.
pub fn seconds(what: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let begun = Instant::now();
    what()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The median and the 99th percentile of many trips, in seconds.
pub fn trips(
    count: usize,
    mut trip: impl FnMut(u64) -> Result<(), Error>,
) -> Result<Figures, Error> {
    let mut took = Vec::with_capacity(count);
    for n in 0..count as u64 {
        let begun = Instant::now();
        trip(n)?;
        took.push(begun.elapsed());
    }
    Ok(percentiles(took))
}

pub fn percentiles(mut took: Vec<Duration>) -> Figures {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64();
    vec![at(50), at(99)]
}

pub fn check<T: PartialEq + std::fmt::Debug>(is: T, should: T) -> Result<(), Error> {
    if is == should {
        return Ok(());
    }
    Err(format!("{is:?} instead of {should:?}").into())
}

/// Keeps this process, and those that it starts meanwhile, on one CPU.
pub struct Pinned(CpuSet);

impl Pinned {
    pub fn new() -> Result<Self, Error> {
        let every = sched_getaffinity(None)?;
        let first = (0..CpuSet::MAX_CPU).find(|cpu| every.is_set(*cpu));
        let mut one = CpuSet::new();
        one.set(first.ok_or("a CPU")?);
        sched_setaffinity(None, &one)?;
        Ok(Self(every))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// How many CPUs there are to be used.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
