//! Times of calls, and cycles a second.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::commands::profile::ticks::Ticks;

/// What one sample lasts at least, so that reading the time costs nothing beside it.
const SAMPLE: Duration = Duration::from_micros(100);
/// Chains of which the fastest counts: an interruption makes one slower, nothing makes one faster.
const CHAINS: usize = 5;
/// Steps of a chain, two cycles each: about a tenth of a millisecond.
const STEPS: u32 = 1 << 17;

/// Nanoseconds of one call of each: the medians of samples taken in turn until the budget is spent, at least one. What
/// slows the core for a while slows all of them, so that their ratios hold.
pub fn medians(calls: &mut [&mut dyn FnMut()], budget: Duration) -> Vec<f64> {
    let counts: Vec<u128> =
        calls.iter_mut().map(|call| SAMPLE.as_nanos() / sample(call, 1).max(1) + 1).collect();
    let mut samples = vec![Vec::new(); calls.len()];
    let start = Instant::now();
    while samples.iter().any(Vec::is_empty) || start.elapsed() < budget {
        for ((call, &count), samples) in calls.iter_mut().zip(&counts).zip(&mut samples) {
            samples.push(u64::try_from(sample(call, count)).unwrap_or(u64::MAX));
        }
    }
    let median = |(samples, count)| Ticks::new(samples).median().max(1) as f64 / count as f64;
    samples.into_iter().zip(counts).map(median).collect()
}

/// Nanoseconds of so many calls.
fn sample(call: &mut dyn FnMut(), count: u128) -> u128 {
    let start = Instant::now();
    for _ in 0..count {
        call();
    }
    start.elapsed().as_nanos()
}

/// Cycles a nanosecond, from a chain of additions and exclusive ors: each waits for the one before, one a cycle on
/// every CPU of interest. Operands that the compiler does not know keep it from shortening the chain.
pub fn gigahertz() -> f64 {
    let (a, b) = (black_box(0x9e37_79b9_u32), black_box(0x85eb_ca6b_u32));
    let chain = |_| {
        let start = Instant::now();
        let end = (0..STEPS).fold(black_box(1u32), |x, _| x.wrapping_add(a) ^ b);
        black_box(end);
        start.elapsed().as_nanos().max(1)
    };
    let fastest = (0..CHAINS).map(chain).min().unwrap_or(1);
    f64::from(2 * STEPS) / fastest as f64
}
