//! Bodies in plain Rust that the compiler vectorises well, compiled for AVX2.

use core::ops::Range;

use crate::ops;
use crate::params::{Add, ArgMax, AveragePool, MaxPool, Mean, Requantize, Resize};

/// See [`crate::registry::AddFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn add_stream(p: &Add, first: Option<&[u8]>, second: &[u8], output: &mut [u8]) {
    ops::stream::add(p, first, second, output);
}

/// See [`crate::registry::RequantizeFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn requantize(p: &Requantize, input: &[u8], output: &mut [u8]) {
    ops::stream::requantize(p, input, output);
}

/// See [`crate::registry::AveragePoolFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn average_pool(p: &AveragePool, input: &[u8], pixels: Range<usize>, output: &mut [u8]) {
    ops::pool::average_pool(p, input, pixels, output);
}

/// See [`crate::registry::MaxPoolFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn max_pool(p: &MaxPool, input: &[u8], pixels: Range<usize>, output: &mut [u8]) {
    ops::pool::max_pool(p, input, pixels, output);
}

/// See [`crate::registry::MaxPoolFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn max_pool_words(p: &MaxPool, input: &[u8], pixels: Range<usize>, output: &mut [u8]) {
    ops::pool::max_pool_words(p, input, pixels, output);
}

/// See [`crate::registry::MeanFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn mean(p: &Mean, input: &[u8], output: &mut [u8]) {
    ops::mean::mean(p, input, output);
}

/// See [`crate::registry::ResizeFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn bilinear_10bit(p: &Resize, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    ops::resize::bilinear_10bit(p, input, rows, output);
}

/// See [`crate::registry::ResizeFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn bilinear_rational(p: &Resize, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    ops::resize::bilinear_rational(p, input, rows, output);
}

/// See [`crate::registry::ResizeFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn bilinear_single(p: &Resize, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    ops::resize::bilinear_single(p, input, rows, output);
}

/// See [`crate::registry::ArgMaxFn`].
#[target_feature(enable = "avx2")]
pub(crate) fn argmax(p: &ArgMax, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
    ops::argmax::argmax(p, input, rows, output);
}
