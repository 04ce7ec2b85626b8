//! Ticks: nanoseconds per step, written into memory that exists before the first run.

use std::time::Instant;

/// The recorded ticks of a session: the last `capacity` runs.
#[derive(Debug)]
pub struct Profile {
    steps: usize,
    capacity: usize,
    recorded: usize,
    /// One row per run: whole run, input copy, output copy, then one entry per step.
    ticks: Vec<u64>,
}

/// Entries of a row before the steps.
const FIXED: usize = 3;

impl Profile {
    pub(crate) fn new(steps: usize, capacity: usize) -> Profile {
        Profile { steps, capacity, recorded: 0, ticks: vec![0; capacity * (FIXED + steps)] }
    }

    /// Runs that are held.
    pub fn runs(&self) -> usize {
        self.recorded.min(self.capacity)
    }

    /// Steps of a run.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Nanoseconds of a held run, all in all; `run` counts from 0, in no particular order once runs were dropped.
    pub fn whole(&self, run: usize) -> u64 {
        self.row(run)[0]
    }

    /// Nanoseconds of copying inputs in [`crate::Session::run_with`].
    pub fn input_copy(&self, run: usize) -> u64 {
        self.row(run)[1]
    }

    /// Nanoseconds of copying outputs in [`crate::Session::run_with`].
    pub fn output_copy(&self, run: usize) -> u64 {
        self.row(run)[2]
    }

    /// Nanoseconds of every step.
    pub fn step_ticks(&self, run: usize) -> &[u64] {
        &self.row(run)[FIXED..]
    }

    /// Forgets everything that was recorded.
    pub fn clear(&mut self) {
        self.recorded = 0;
    }

    fn row(&self, run: usize) -> &[u64] {
        &self.ticks[run * (FIXED + self.steps)..][..FIXED + self.steps]
    }

    fn current(&mut self) -> &mut [u64] {
        let run = self.recorded % self.capacity;
        &mut self.ticks[run * (FIXED + self.steps)..][..FIXED + self.steps]
    }

    pub(crate) fn begin(&mut self) {
        self.current().fill(0);
    }

    pub(crate) fn step(&mut self, step: usize, nanoseconds: u64) {
        self.current()[FIXED + step] = nanoseconds;
    }

    /// The copies of the run that ended last.
    pub(crate) fn last_copies(&mut self, input: u64, output: u64) {
        let Some(last) = self.recorded.checked_sub(1) else { return };
        let run = last % self.capacity;
        let row = &mut self.ticks[run * (FIXED + self.steps)..];
        (row[1], row[2]) = (input, output);
    }

    pub(crate) fn end(&mut self, whole: u64) {
        self.current()[0] = whole;
        self.recorded += 1;
    }
}

/// Nanoseconds since `start`, saturating.
pub(crate) fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
