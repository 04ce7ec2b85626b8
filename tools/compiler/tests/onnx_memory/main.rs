//! How much the ONNX reader allocates, under a counting allocator: a multiple of the file's length, also for files made
//! to unfold. One test, so that nothing else allocates meanwhile.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use dyadic_compiler::import::onnx::read;

/// Bytes allocated now, and the most since the last reset.
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn grow(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call goes to the system allocator unchanged; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is that of `System.dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Counted as if the old and the new block lived side by side for a moment, as they may.
        grow(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is that of `System.realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that reading takes beyond what was there, and whether the file was accepted.
fn peak_of(bytes: &[u8]) -> (usize, bool) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let accepted = read(bytes, None).is_ok();
    (PEAK.load(Ordering::Relaxed) - before, accepted)
}

fn field(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let mut length = body.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(body);
    out
}

/// A model of IR version 8, operator set 13, an output `x` that is fed, and these fields of the graph.
fn model(graph: &[u8]) -> Vec<u8> {
    let x = field(0x0a, b"x");
    let graph = [field(0x5a, &x), field(0x62, &x), graph.to_vec()].concat();
    [vec![0x08, 0x08, 0x42, 0x02, 0x10, 0x0d], field(0x3a, &graph)].concat()
}

const COUNT: usize = 20_000;

/// Files of many small things: name, whether they are accepted, the fields of the graph.
fn files() -> Vec<(&'static str, bool, Vec<u8>)> {
    let many = |one: &dyn Fn(usize) -> Vec<u8>| (0..COUNT).flat_map(one).collect::<Vec<u8>>();
    let name = |index: usize| format!("{index:x}").into_bytes();
    let op = field(0x22, b"R");
    // An attribute of type INT, whose value 0 is left out.
    let attribute = [field(0x0a, b"a name like others"), vec![0xa0, 0x01, 0x02]].concat();
    let dims = field(0x12, &field(0x0a, &field(0x12, &field(0x0a, &[]).repeat(4))));
    let numbers = [vec![0x08, 0x80, 0x80, 0x08, 0x10, 0x07], field(0x42, b"t"), field(0x3a, &[0; 1 << 17])];
    let lists =
        field(0x2a, &[field(0x0a, b"a"), vec![0xa0, 0x01, 0x07], [0x40, 0x01].repeat(1 << 17)].concat());
    vec![
        ("nothing", true, vec![]),
        ("nodes", true, many(&|i| field(0x0a, &[op.clone(), field(0x12, &name(i))].concat()))),
        ("nodes with an attribute", true, many(&|_| field(0x0a, &[&*op, &field(0x2a, &attribute)].concat()))),
        (
            "initializers",
            true,
            many(&|i| field(0x2a, &[vec![0x08, 0, 0x10, 1], field(0x42, &name(i))].concat())),
        ),
        ("inputs", true, many(&|i| field(0x5a, &field(0x0a, &name(i))))),
        ("outputs", true, many(&|_| field(0x62, &field(0x0a, b"x")))),
        ("shapes", true, many(&|i| field(0x6a, &[field(0x0a, &name(i)), dims.clone()].concat()))),
        ("numbers", true, field(0x2a, &numbers.concat())),
        ("a list in an attribute", true, field(0x0a, &[op.clone(), lists].concat())),
        ("inputs left out", true, field(0x0a, &[op.clone(), [0x0a, 0].repeat(COUNT)].concat())),
        ("empty nodes", false, [0x0a, 0].repeat(COUNT)),
        ("empty initializers", false, [0x2a, 0].repeat(COUNT)),
        ("empty attributes", false, field(0x0a, &[0x2a, 0].repeat(COUNT))),
        ("empty values", false, [0x6a, 0].repeat(COUNT)),
        ("empty annotations", true, [0x72, 0].repeat(COUNT)),
    ]
}

#[test]
fn reading_takes_a_multiple_of_the_file() {
    for (name, expected, graph) in files() {
        let bytes = model(&graph);
        let (peak, accepted) = peak_of(&bytes);
        assert_eq!(accepted, expected, "{name}: {:?}", read(&bytes, None).err());
        let limit = bytes.len() * 128 + (1 << 20);
        assert!(peak <= limit, "{name}: {} bytes of file, {peak} allocated", bytes.len());
        // What is refused is refused before the decoder allocates.
        assert!(accepted || peak < 4096, "{name}: {peak} allocated");
    }
    // The counter counts: names alone take more than the file.
    let (_, _, nodes) = files().swap_remove(1);
    assert!(peak_of(&model(&nodes)).0 > nodes.len());
}
