//! Threads of a host, and cores that are not there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dyadic_format::operator::TableParams;
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType::U8;
use dyadic_runtime::{Model, Options, Parallel, RunError, Session, Warning};

use super::builder::Builder;
use super::bytes;

const COUNT: usize = 150_001;

/// A table look-up, large enough to be shared out.
fn model() -> Model {
    let mut b = Builder::default();
    b.contents.tables.push(std::array::from_fn(|i| 255 - i as u8));
    let from = b.input(U8, &[COUNT], 0);
    let to = b.tensor(U8, &[COUNT], 0);
    let params =
        TableParams { table: 0, function: 1, lo: 0, hi: 255, argument: [0; 2], second_argument: [0; 2] };
    b.operator(Rule::Table, Params::Table(params), &[from], to, &[]);
    b.output(to);
    b.model().unwrap_or_else(|e| panic!("{e}"))
}

fn run(session: &mut Session) -> Result<(), RunError> {
    let (input, mut output) = (bytes(COUNT, 3), vec![0; COUNT]);
    session.run_with(&[&input], &mut [&mut output])?;
    assert!(input.iter().zip(&output).all(|(i, o)| 255 - i == *o));
    Ok(())
}

/// Starts a thread per call, the last call first, and says something else about itself whenever it is asked.
struct Host {
    asked: AtomicUsize,
    most: &'static AtomicUsize,
}

impl Parallel for Host {
    fn threads(&self) -> usize {
        3 + 7 * self.asked.fetch_add(1, Ordering::Relaxed)
    }

    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        self.most.fetch_max(count, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for call in (0..count).rev() {
                scope.spawn(move || job(call));
            }
        });
    }
}

#[test]
fn a_host_may_bring_its_own_threads() {
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let host = Host { asked: AtomicUsize::new(0), most: &MOST };
    let mut session =
        Session::with_parallel(model(), &Options::default(), Box::new(host)).expect("a session");
    for _ in 0..3 {
        assert_eq!(run(&mut session), Ok(()));
    }
    assert_eq!(MOST.load(Ordering::Relaxed), 3, "as many bands as there is scratch for");
}

/// Panics when it is told to.
struct Failing(&'static AtomicBool);

impl Parallel for Failing {
    fn threads(&self) -> usize {
        2
    }

    fn for_each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        assert!(!self.0.load(Ordering::Relaxed), "told to");
        (0..count).for_each(job);
    }
}

#[test]
fn a_session_knows_that_a_host_panicked() {
    static FAIL: AtomicBool = AtomicBool::new(false);
    let options = Options { profile_runs: 4, ..Options::default() };
    let mut session = Session::with_parallel(model(), &options, Box::new(Failing(&FAIL))).expect("a session");
    assert_eq!(run(&mut session), Ok(()));
    FAIL.store(true, Ordering::Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| session.run())).is_err());
    FAIL.store(false, Ordering::Relaxed);
    assert_eq!(session.run(), Err(RunError::Panicked));
    assert_eq!(run(&mut session), Err(RunError::Panicked));
    // Only the run that succeeded is recorded.
    assert_eq!(session.profile().map(|profile| profile.total_runs()), Some(1));
}

#[test]
fn cores_that_are_not_there_are_a_warning() {
    for core in [1000, 1024, 5000, usize::MAX] {
        for threads in [1, 2] {
            let options = Options { threads, cores: vec![core], ..Options::default() };
            let mut session = Session::new(model(), &options).expect("a session");
            assert_eq!(session.warnings(), [Warning::NotPinned { thread: 0, core }]);
            assert_eq!(run(&mut session), Ok(()));
        }
    }
}
