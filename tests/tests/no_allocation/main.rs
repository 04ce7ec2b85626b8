//! A run allocates nothing: 10,000 runs of the sample network under a counting allocator, on the caller's thread and
//! on two workers, with the tick recorder on and off. One test, so that nothing else allocates meanwhile.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use dyadic_compiler::{Options as CompileOptions, compile};
use dyadic_runtime::{IsaKind, Model, Options, Session};

/// Calls of `alloc`, `alloc_zeroed` and `realloc` in the whole process.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is that of `System.alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is that of `System.dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is that of `System.realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RUNS: usize = 10_000;

fn main() {
    runs_allocate_nothing();
    println!("runs_allocate_nothing ... ok");
}

fn runs_allocate_nothing() {
    let source = include_bytes!("../../../tools/cli/sample/road_signs_int8.tflite");
    let compiled = compile(source, &CompileOptions::default()).expect("the sample compiles");
    let model = Model::copy_of(&compiled.to_bytes()).expect("a valid file");
    // Kept to the end: threads that are about to leave hand their garbage over, in memory that they allocate.
    let mut sessions = Vec::new();
    for (threads, isa) in
        [1, 2].into_iter().flat_map(|n| dyadic_tests::isas().into_iter().map(move |isa| (n, isa)))
    {
        // Ten thousand on the fastest; fewer on the others, which take longer.
        let runs = match isa {
            IsaKind::Reference => 5,
            IsaKind::Portable => 100,
            _ => RUNS,
        };
        for profile_runs in [0, 16] {
            let options = Options { threads, profile_runs, isa: Some(isa), ..Options::default() };
            let mut session = Session::new(model.clone(), &options).expect("a session");
            session.fill_seeded(1);
            let input = session.input_mut(0).to_vec();
            // The workers' own structures grow when they are first used.
            session.run().expect("a run");
            let mut output = vec![0; session.output(0).len()];
            let before = ALLOCATIONS.load(Ordering::SeqCst);
            for _ in 0..runs {
                session.run_with(&[&input], &mut [&mut output]).expect("a run");
            }
            let count = ALLOCATIONS.load(Ordering::SeqCst) - before;
            assert_eq!(count, 0, "{threads} threads, {profile_runs} recorded runs, {}", isa.name());
            sessions.push(session);
        }
    }
    // The counter counts.
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    let grown = std::hint::black_box(vec![1u8; 100]);
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > before && grown.len() == 100);
}
