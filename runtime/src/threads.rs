//! Worker threads: started and pinned once, one of them leads.
//!
//! A session with `N` threads has `N` workers. One of them, the leader, waits for an executor, runs its steps and
//! hands it back; it splits a step by nested `rayon::join`, which allocates nothing inside the pool. The others look for
//! its bands all the time while steps run: a worker that sleeps needs tens of microseconds to come, which is what a step
//! takes. The caller only waits. The executor changes hands as a box in a slot, so neither side allocates and no memory is
//! shared.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{LoadError, Warning};
use crate::parallel::Parallel;
use crate::session::Executor;

/// What is in the slot.
enum Slot {
    Empty,
    /// For the leader: run these steps.
    Task(Box<Executor>, Range<usize>),
    /// For the caller: done, or a step panicked.
    Done(Box<Executor>, bool),
    /// For the leader: no more tasks.
    Stop,
}

/// Whether there may be bands for the helpers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    Now,
    NeverAgain,
}

/// How long a helper stays awake after a run: the next one often follows at once.
const GRACE: Duration = Duration::from_micros(50);

/// What caller, leader and helpers tell each other, and the number of living workers.
struct Shared {
    slot: Mutex<Slot>,
    slot_changed: Condvar,
    work: Mutex<Work>,
    work_changed: Condvar,
    /// Whether `work` is [`Work::Now`], for those who look all the time.
    working: AtomicBool,
    alive: Mutex<usize>,
    alive_changed: Condvar,
}

/// A lock whose holder panicked still guards plain values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Shared {
    fn put(&self, slot: Slot) {
        *lock(&self.slot) = slot;
        self.slot_changed.notify_all();
    }

    /// Waits for something that `pick` takes; it gives back what is for somebody else.
    fn take<T>(&self, pick: impl Fn(Slot) -> Result<T, Slot>) -> T {
        let mut slot = lock(&self.slot);
        loop {
            match pick(std::mem::replace(&mut *slot, Slot::Empty)) {
                Ok(taken) => return taken,
                Err(other) => *slot = other,
            }
            slot = wait(&self.slot_changed, slot);
        }
    }

    fn lead(&self, threads: usize) {
        let parallel = Joined { threads };
        let next = |slot| match slot {
            Slot::Task(executor, steps) => Ok(Some((executor, steps))),
            Slot::Stop => Ok(None),
            Slot::Empty | Slot::Done(..) => Err(slot),
        };
        while let Some((mut executor, steps)) = self.take(next) {
            self.announce(Work::Now);
            // The executor is plain bytes and stays valid whatever a step left undone.
            let run = AssertUnwindSafe(|| executor.run(steps, &parallel));
            let panicked = catch_unwind(run).is_err();
            self.announce(Work::None);
            self.put(Slot::Done(executor, panicked));
        }
        self.announce(Work::NeverAgain);
    }

    fn announce(&self, work: Work) {
        self.working.store(work == Work::Now, Ordering::Relaxed);
        *lock(&self.work) = work;
        self.work_changed.notify_all();
    }

    /// Computes bands of the leader's steps until there will be none any more.
    fn help(&self) {
        loop {
            let mut work = lock(&self.work);
            while *work == Work::None {
                work = wait(&self.work_changed, work);
            }
            if *work == Work::NeverAgain {
                return;
            }
            drop(work);
            let mut last = Instant::now();
            while last.elapsed() < GRACE {
                if rayon::yield_now() == Some(rayon::Yield::Executed) || self.working.load(Ordering::Relaxed)
                {
                    last = Instant::now();
                }
                // Not a spin: with fewer cores than threads the leader needs this one.
                std::thread::yield_now();
            }
        }
    }
}

/// A loop inside the pool, halved until one call is left.
struct Joined {
    threads: usize,
}

impl Parallel for Joined {
    fn threads(&self) -> usize {
        self.threads
    }

    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        halve(0..count, job);
    }
}

fn halve(range: Range<usize>, job: &(dyn Fn(usize) + Sync)) {
    match range.len() {
        0 => {}
        1 => job(range.start),
        length => {
            let middle = range.start + length / 2;
            rayon::join(|| halve(range.start..middle, job), || halve(middle..range.end, job));
        }
    }
}

/// The workers of a session.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    pool: Option<ThreadPool>,
    /// Whether cores were asked for.
    pinned: bool,
}

impl Workers {
    /// Starts `threads` workers and pins worker `i` to `cores[i]`.
    pub(crate) fn start(
        threads: usize,
        cores: &[usize],
        warnings: &mut Vec<Warning>,
    ) -> Result<Workers, LoadError> {
        let shared = Arc::new(Shared {
            slot: Mutex::new(Slot::Empty),
            slot_changed: Condvar::new(),
            work: Mutex::new(Work::None),
            work_changed: Condvar::new(),
            working: AtomicBool::new(false),
            alive: Mutex::new(0),
            alive_changed: Condvar::new(),
        });
        let (born, gone) = (Arc::clone(&shared), Arc::clone(&shared));
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("dyadic-{index}"))
            .start_handler(move |_| *lock(&born.alive) += 1)
            .exit_handler(move |_| {
                *lock(&gone.alive) -= 1;
                gone.alive_changed.notify_all();
            })
            .build()
            .map_err(|error| LoadError::Threads { reason: error.to_string() })?;
        let pinned = pool.broadcast(|worker| cores.get(worker.index()).is_none_or(|&core| pin(core)));
        for (thread, _) in pinned.iter().enumerate().filter(|(_, pinned)| !**pinned) {
            warnings.push(Warning::NotPinned { thread, core: cores[thread] });
        }
        // All helpers are at work before the leader is: one that waited in a queue could be taken up by a leader that waits
        // for a band, and would not come back to it.
        let started = Arc::new(Barrier::new(threads));
        for _ in 1..threads {
            let (helper, started) = (Arc::clone(&shared), Arc::clone(&started));
            pool.spawn(move || {
                started.wait();
                helper.help();
            });
        }
        started.wait();
        let leader = Arc::clone(&shared);
        pool.spawn(move || leader.lead(threads));
        Ok(Workers { shared, pool: Some(pool), pinned: !cores.is_empty() })
    }

    /// Whether steps belong on certain cores.
    pub(crate) fn are_pinned(&self) -> bool {
        self.pinned
    }

    /// Runs steps on the workers; the flag says whether one panicked.
    pub(crate) fn run(&self, executor: Box<Executor>, steps: Range<usize>) -> (Box<Executor>, bool) {
        self.shared.put(Slot::Task(executor, steps));
        self.shared.take(|slot| match slot {
            Slot::Done(executor, panicked) => Ok((executor, panicked)),
            Slot::Empty | Slot::Task(..) | Slot::Stop => Err(slot),
        })
    }
}

impl Drop for Workers {
    /// Ends the leader, then the pool, and waits until every worker is gone.
    fn drop(&mut self) {
        self.shared.put(Slot::Stop);
        drop(self.pool.take());
        let mut alive = lock(&self.shared.alive);
        while *alive > 0 {
            alive = wait(&self.shared.alive_changed, alive);
        }
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

/// Cores that a mask of the system's has bits for; `core_affinity` panics beyond them.
const MAX_CORES: usize = if cfg!(windows) { 64 } else { 1024 };

/// Pins the calling thread; `false` when the system refuses. The list of cores that `core_affinity` gives is no help: it
/// holds only those that the calling thread may run on now, so a pinned thread could not be pinned elsewhere.
pub(crate) fn pin(core: usize) -> bool {
    core < MAX_CORES && core_affinity::set_for_current(core_affinity::CoreId { id: core })
}
