//! The parallel loop of a step, and how a step's output is cut into bands.

use core::ops::Range;

/// Most threads of a session, and most bands of a step.
pub const MAX_BANDS: usize = 64;

/// A parallel loop. The workers of [`crate::Options::threads`] implement it; a host program with threads of its own
/// can supply another one to [`crate::Session::with_parallel`]. The result does not depend on it.
pub trait Parallel: Send + Sync {
    /// How many calls of a loop can run at the same time, at least 1.
    fn threads(&self) -> usize;

    /// Calls `job(i)` once for every `i` in `0..count`, in any order and on any threads, and returns when all calls
    /// have returned.
    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync));
}

/// The caller's thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Parallel for Inline {
    fn threads(&self) -> usize {
        1
    }

    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(job);
    }
}

/// Computes some units: their numbers, their output, scratch.
pub(crate) type Body<'f> = dyn Fn(Range<usize>, &mut [u8], &mut [u8]) + Sync + 'f;

/// What the bands of a step work on: consecutive pieces of the output, each band with its own part of the scratch.
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "bands need locks; without them all runs inline"))]
pub(crate) struct Banded<'a> {
    pub(crate) parallel: &'a dyn Parallel,
    /// At most [`MAX_BANDS`]; 1 runs inline.
    pub(crate) bands: usize,
    pub(crate) units: usize,
    /// Bytes of output per unit; the last unit takes what is left.
    pub(crate) unit_bytes: usize,
    pub(crate) output: &'a mut [u8],
    pub(crate) scratch: &'a mut [u8],
    /// Bytes of scratch per band.
    pub(crate) scratch_each: usize,
}

impl Banded<'_> {
    /// Calls `f(units, output of those units, scratch)` for every band.
    pub(crate) fn run(self, f: &Body) {
        let bands = self.bands.min(self.units).min(MAX_BANDS);
        if bands <= 1 {
            let scratch = self.scratch.len().min(self.scratch_each);
            return f(0..self.units, self.output, &mut self.scratch[..scratch]);
        }
        self.split(bands, f);
    }

    /// Band `b` of `n` takes the units from `units * b / n` on.
    #[cfg(feature = "std")]
    fn split(self, bands: usize, f: &Body) {
        use std::sync::Mutex;

        struct Band<'a> {
            units: Range<usize>,
            output: &'a mut [u8],
            scratch: &'a mut [u8],
        }

        let (mut output, mut scratch) = (self.output, self.scratch);
        // A band's slices are taken out by the one call that owns them; the lock is never contended.
        let slots: [Mutex<Option<Band>>; MAX_BANDS] = core::array::from_fn(|b| {
            if b >= bands {
                return Mutex::new(None);
            }
            let units = self.units * b / bands..self.units * (b + 1) / bands;
            let bytes = if b + 1 == bands { output.len() } else { units.len() * self.unit_bytes };
            let own = output.split_off_mut(..bytes).unwrap_or_default();
            let room = scratch.split_off_mut(..self.scratch_each).unwrap_or_default();
            Mutex::new(Some(Band { units, output: own, scratch: room }))
        });
        self.parallel.for_each(bands, &|b| {
            let band = slots[b].lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            if let Some(band) = band {
                f(band.units, band.output, band.scratch);
            }
        });
    }

    #[cfg(not(feature = "std"))]
    fn split(self, _bands: usize, f: &Body) {
        f(0..self.units, self.output, &mut self.scratch[..self.scratch_each]);
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    /// Calls in reverse order, so that nothing can lean on the order.
    struct Reverse(usize);

    impl Parallel for Reverse {
        fn threads(&self) -> usize {
            self.0
        }

        fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
            (0..count).rev().for_each(job);
        }
    }

    #[test]
    fn bands_cover_every_unit_once() {
        for bands in 1..=MAX_BANDS {
            for units in [1, 2, 5, 63, 64, 65, 200] {
                // The last unit is one byte short.
                let mut output = vec![0; 3 * units - 1];
                let mut scratch = vec![0; 8 * bands];
                let parallel = &Reverse(bands);
                let banded = Banded {
                    parallel,
                    bands,
                    units,
                    unit_bytes: 3,
                    output: &mut output,
                    scratch: &mut scratch,
                    scratch_each: 8,
                };
                banded.run(&|range, out, scratch| {
                    let short = usize::from(range.end == units);
                    assert_eq!((out.len(), scratch.len()), (3 * range.len() - short, 8));
                    for (byte, unit) in out.chunks_mut(3).zip(range) {
                        byte.iter_mut().for_each(|b| *b += unit as u8 + 1);
                    }
                });
                let expected: Vec<u8> = (0..units).flat_map(|u| [u as u8 + 1; 3]).collect();
                assert_eq!(output, expected[..3 * units - 1]);
            }
        }
    }
}
