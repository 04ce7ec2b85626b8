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
        let mut ticks = budget.list(entries)?;
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

/// Times are nanoseconds. A run is counted from 0, the oldest that is kept first. The whole of a run is at least the sum
/// of its parts; what is left is the work of the session itself, with several threads above all the hand-over to the
/// workers and back.
impl<'a> Profile<'a> {
    /// Runs that are kept.
    pub fn runs(&self) -> usize {
        usize::try_from(self.recorder.total).map_or(self.recorder.capacity, |n| n.min(self.recorder.capacity))
    }

    /// Runs since the session was made or [`crate::Session::clear_profile`] was called.
    pub fn total_runs(&self) -> u64 {
        self.recorder.total
    }

    /// Steps of a run.
    pub fn steps(&self) -> usize {
        self.recorder.steps
    }

    /// The whole call.
    ///
    /// # Panics
    /// This and the methods below: when `run` is not below [`Profile::runs`].
    pub fn whole(&self, run: usize) -> u64 {
        self.row(run)[0]
    }

    /// Copying the inputs; 0 for [`crate::Session::run`].
    pub fn input_copy(&self, run: usize) -> u64 {
        self.row(run)[1]
    }

    /// Copying the outputs; 0 for [`crate::Session::run`].
    pub fn output_copy(&self, run: usize) -> u64 {
        self.row(run)[2]
    }

    /// Every step, in order.
    pub fn step_ticks(&self, run: usize) -> &'a [u64] {
        &self.row(run)[HEAD..]
    }

    fn row(&self, run: usize) -> &'a [u64] {
        assert!(run < self.runs(), "run {run} of {}", self.runs());
        let number = self.recorder.total - self.runs() as u64 + run as u64;
        &self.recorder.ticks[self.recorder.run(number)]
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
        assert_eq!(recorder.profile().runs(), 0);
        for run in 0..5 {
            recorder.step(0, 10 * run);
            recorder.step(1, 10 * run + 1);
            recorder.finish(10 * run + 2, 10 * run + 3, 10 * run + 4);
            let profile = recorder.profile();
            let wholes: Vec<u64> = (0..profile.runs()).map(|r| profile.whole(r)).collect();
            let expected: Vec<u64> = ((run + 1).saturating_sub(3)..=run).map(|r| 10 * r + 2).collect();
            assert_eq!((wholes, profile.total_runs()), (expected, run + 1));
        }
        let profile = recorder.profile();
        assert_eq!((profile.input_copy(2), profile.output_copy(2)), (43, 44));
        assert_eq!(profile.step_ticks(2), [40, 41]);
    }
}
