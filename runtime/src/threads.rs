//! Worker threads and the parallel loop.
//!
//! rayon and core_affinity start and pin the threads once. A run is handed to one of them, the leader, which splits each
//! layer with nested `rayon::join`: inside a worker that allocates nothing, where `install`, `scope` and `broadcast`
//! from outside do.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{LoadError, RunError, Warning};
use crate::execute::Executor;

/// Splits rows among threads. A host with threads of its own implements this.
pub trait Parallel: Sync {
    /// How many bands are worked on at once.
    fn threads(&self) -> usize;

    /// Calls `body` with bands that cover `rows` rows, each with its part of `output` (`row_bytes` a row) and its own
    /// `scratch` (of `threads()` equal parts). Bands run in any order and at the same time.
    fn bands(
        &self,
        rows: usize,
        row_bytes: usize,
        output: &mut [u8],
        scratch: &mut [u8],
        body: &(dyn Fn(Range<usize>, &mut [u8], &mut [u8]) + Sync),
    );
}

/// The caller's own thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Serial;

impl Parallel for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn bands(
        &self,
        rows: usize,
        _: usize,
        output: &mut [u8],
        scratch: &mut [u8],
        body: &(dyn Fn(Range<usize>, &mut [u8], &mut [u8]) + Sync),
    ) {
        body(0..rows, output, scratch);
    }
}

/// The workers of the pool that the calling worker belongs to.
#[derive(Clone, Copy, Debug)]
struct Pool {
    threads: usize,
}

impl Parallel for Pool {
    fn threads(&self) -> usize {
        self.threads
    }

    fn bands(
        &self,
        rows: usize,
        row_bytes: usize,
        output: &mut [u8],
        scratch: &mut [u8],
        body: &(dyn Fn(Range<usize>, &mut [u8], &mut [u8]) + Sync),
    ) {
        split(0..rows, self.threads.min(rows), self.threads, row_bytes, output, scratch, body);
    }
}

/// Halves the bands until one is left. `parts` of the scratch belong to these bands.
fn split(
    rows: Range<usize>,
    bands: usize,
    parts: usize,
    row_bytes: usize,
    output: &mut [u8],
    scratch: &mut [u8],
    body: &(dyn Fn(Range<usize>, &mut [u8], &mut [u8]) + Sync),
) {
    if bands <= 1 {
        return body(rows, output, scratch);
    }
    let (left_bands, left_parts) = (bands / 2, parts / 2);
    let middle = rows.start + rows.len() * left_bands / bands;
    let (left, right) = output.split_at_mut((middle - rows.start) * row_bytes);
    let (left_scratch, right_scratch) = scratch.split_at_mut(scratch.len() / parts.max(1) * left_parts);
    rayon::join(
        || split(rows.start..middle, left_bands, left_parts, row_bytes, left, left_scratch, body),
        || {
            let (bands, parts) = (bands - left_bands, parts - left_parts);
            split(middle..rows.end, bands, parts, row_bytes, right, right_scratch, body);
        },
    );
}

/// A run as it passes between the caller and the leader.
enum Slot {
    Idle,
    Requested(Executor),
    Running,
    Done(Executor),
    Lost,
    Quit,
}

struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // The slot is replaced as a whole, so a panic elsewhere leaves it meaningful.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, guard: MutexGuard<'g, Slot>) -> MutexGuard<'g, Slot> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, slot: Slot) {
        *self.lock() = slot;
        self.changed.notify_all();
    }
}

/// Two or more pinned worker threads.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    // Dropped after `Quit` was sent, which ends the threads.
    _pool: rayon::ThreadPool,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts `threads` workers, thread `i` pinned to `cores[i]` where that is given.
    pub(crate) fn start(threads: usize, cores: &[usize]) -> Result<(Workers, Vec<Warning>), LoadError> {
        let failed = Arc::new(Mutex::new(Vec::new()));
        let (pins, failures) = (cores.to_vec(), Arc::clone(&failed));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("dyadic-{i}"))
            .start_handler(move |i| {
                if let Some(&core) = pins.get(i)
                    && !pin(core)
                {
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push(Warning::NotPinned { core });
                }
            })
            .build()
            .map_err(|e| LoadError::Threads(e.to_string()))?;
        // Every start handler has run once every thread has answered.
        pool.broadcast(|_| ());
        let shared = Arc::new(Shared { slot: Mutex::new(Slot::Idle), changed: Condvar::new() });
        let leader = Arc::clone(&shared);
        pool.spawn(move || lead(&leader, Pool { threads }));
        let warnings = std::mem::take(&mut *failed.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((Workers { shared, _pool: pool }, warnings))
    }

    /// Lends the executor to the leader for one run.
    pub(crate) fn run(&self, executor: Executor) -> Result<Executor, RunError> {
        let mut slot = self.shared.lock();
        if !matches!(*slot, Slot::Idle) {
            return Err(RunError::WorkerLost);
        }
        *slot = Slot::Requested(executor);
        self.shared.changed.notify_all();
        loop {
            match std::mem::replace(&mut *slot, Slot::Idle) {
                Slot::Done(executor) => return Ok(executor),
                Slot::Lost => {
                    *slot = Slot::Lost;
                    return Err(RunError::WorkerLost);
                }
                other => {
                    *slot = other;
                    slot = self.shared.wait(slot);
                }
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.set(Slot::Quit);
    }
}

/// The leader's life: wait for a request, run it, hand the executor back.
fn lead(shared: &Shared, pool: Pool) {
    loop {
        let mut slot = shared.lock();
        let executor = loop {
            match std::mem::replace(&mut *slot, Slot::Running) {
                Slot::Requested(executor) => break executor,
                Slot::Quit => return,
                other => {
                    *slot = other;
                    slot = shared.wait(slot);
                }
            }
        };
        drop(slot);
        let run = std::panic::AssertUnwindSafe(move || {
            let mut executor = executor;
            executor.run(&pool);
            executor
        });
        match std::panic::catch_unwind(run) {
            Ok(executor) => {
                let mut slot = shared.lock();
                if matches!(*slot, Slot::Quit) {
                    return;
                }
                *slot = Slot::Done(executor);
                shared.changed.notify_all();
            }
            Err(_) => return shared.set(Slot::Lost),
        }
    }
}

/// Pins the calling thread.
pub(crate) fn pin(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}
