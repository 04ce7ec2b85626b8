//! Ticks per step, in nanoseconds, kept in memory that was allocated before the first run.

use std::time::Instant;

use crate::error::LoadError;
use crate::lower::Budget;

/// Entries of a run besides its steps: the whole run, copying inputs, copying outputs.
const HEAD: usize = 3;

/// A ring of runs.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// `capacity` runs of `HEAD + steps` ticks.
    ticks: Vec<u64>,
    steps: usize,
    capacity: usize,
    /// Runs recorded since the session was made.
    total: u64,
}

/// A running clock: each reading ends one span and starts the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Nanoseconds since the last reading.
    pub(crate) fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let span = now.duration_since(self.0).as_nanos();
        self.0 = now;
        u64::try_from(span).unwrap_or(u64::MAX)
    }
}

impl Recorder {
    /// `None` when no runs are to be kept.
    pub(crate) fn new(
        capacity: usize,
        steps: usize,
        budget: &mut Budget,
    ) -> Result<Option<Recorder>, LoadError> {
        if capacity == 0 {
            return Ok(None);
        }
        let entries = capacity.saturating_mul(HEAD + steps);
        budget.claim((entries as u64).saturating_mul(8))?;
        let mut ticks = Vec::new();
        let missing = |_| budget.missing((entries as u64).saturating_mul(8));
        ticks.try_reserve_exact(entries).map_err(missing)?;
        ticks.resize(entries, 0);
        Ok(Some(Recorder { ticks, steps, capacity, total: 0 }))
    }

    fn run(&self, number: u64) -> std::ops::Range<usize> {
        let first = (number % self.capacity as u64) as usize * (HEAD + self.steps);
        first..first + HEAD + self.steps
    }

    fn entry(&mut self, index: usize) -> &mut u64 {
        let first = self.run(self.total).start;
        &mut self.ticks[first + index]
    }

    /// Time of a step of the present run.
    pub(crate) fn step(&mut self, step: usize, ticks: u64) {
        *self.entry(HEAD + step) = ticks;
    }

    /// Closes the present run.
    pub(crate) fn finish(&mut self, whole: u64, input: u64, output: u64) {
        for (index, ticks) in [whole, input, output].into_iter().enumerate() {
            *self.entry(index) = ticks;
        }
        self.total += 1;
    }

    pub(crate) fn profile(&self) -> Profile<'_> {
        Profile { recorder: self }
    }
}

/// The last runs of a session, up to [`crate::Options::profile_runs`] of them.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    recorder: &'a Recorder,
}

/// One run in nanoseconds. `whole` is at least the sum of the others; what is left is the work of the session itself,
/// with several threads above all the hand-over to the workers and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTicks<'a> {
    /// The whole call.
    pub whole: u64,
    /// Copying the inputs; 0 for [`crate::Session::run`].
    pub input: u64,
    /// Copying the outputs; 0 for [`crate::Session::run`].
    pub output: u64,
    /// Each step, in order.
    pub steps: &'a [u64],
}

impl<'a> Profile<'a> {
    /// Runs that are kept.
    pub fn len(&self) -> usize {
        usize::try_from(self.recorder.total).map_or(self.recorder.capacity, |n| n.min(self.recorder.capacity))
    }

    /// Whether nothing has run yet.
    pub fn is_empty(&self) -> bool {
        self.recorder.total == 0
    }

    /// Runs since the session was made or [`crate::Session::clear_profile`] was called.
    pub fn total(&self) -> u64 {
        self.recorder.total
    }

    /// Run `index` of those that are kept, the oldest first.
    pub fn run(&self, index: usize) -> Option<RunTicks<'a>> {
        if index >= self.len() {
            return None;
        }
        let number = self.recorder.total - self.len() as u64 + index as u64;
        let (head, steps) = self.recorder.ticks[self.recorder.run(number)].split_at(HEAD);
        Some(RunTicks { whole: head[0], input: head[1], output: head[2], steps })
    }

    /// All runs that are kept, the oldest first.
    pub fn runs(&self) -> impl Iterator<Item = RunTicks<'a>> {
        let profile = *self;
        (0..self.len()).filter_map(move |index| profile.run(index))
    }
}

impl Recorder {
    /// Forgets all runs.
    pub(crate) fn clear(&mut self) {
        self.total = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_last_runs_in_order() {
        let mut budget = Budget::new(1 << 20);
        let mut recorder = Recorder::new(3, 2, &mut budget).expect("enough memory").expect("runs to keep");
        assert!(recorder.profile().is_empty());
        for run in 0..5 {
            recorder.step(0, 10 * run);
            recorder.step(1, 10 * run + 1);
            recorder.finish(10 * run + 2, 10 * run + 3, 10 * run + 4);
            let profile = recorder.profile();
            let wholes: Vec<u64> = profile.runs().map(|r| r.whole).collect();
            let expected: Vec<u64> = ((run + 1).saturating_sub(3)..=run).map(|r| 10 * r + 2).collect();
            assert_eq!((wholes, profile.total()), (expected, run + 1));
        }
        let profile = recorder.profile();
        let last = profile.run(2).expect("three runs are kept");
        assert_eq!(last, RunTicks { whole: 42, input: 43, output: 44, steps: &[40, 41] });
        assert_eq!(profile.run(3), None);
    }
}
