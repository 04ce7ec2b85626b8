//! The body of the kernels with `vpdpbusd`, run where AVX2 stands in for it.

extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::geometry::{Axis, Window};
use crate::pack::{pack, packed_len};
use crate::params::{Output, Quant};
use crate::reference;
use crate::registry::Layout;
use crate::types::ElemType;

/// AVX2 with a `vpdpbusd` made of words: 16-bit products of even bytes and of odd ones.
#[derive(Clone, Copy, Debug)]
struct Emulated(Avx2);

impl Dot for Emulated {
    type Lanes = halves::Lanes;
    type Columns = Columns;
    const ROWS: usize = ROWS;

    const PAIRS: bool = true;

    fn avx2(self) -> Avx2 {
        self.0
    }

    fn columns(self, _: &Conv, columns: Columns) -> Columns {
        columns
    }

    fn tile(self, t: &Tile, columns: &Columns, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2.
        unsafe { tile_of!(t, [1, 2, 3, 4, 5], { ROWS }, emulated_tile(t, columns, output, pitch)) }
    }

    fn pair(self, t: &Tile, columns: &Columns, second: Second<Columns>, output: &mut [u8], pitch: usize) {
        // SAFETY: the token proves AVX2.
        unsafe { tile_of!(t, [1, 2, 3, 4, 5], { ROWS }, emulated_pair(t, columns, second, output, pitch)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe { halves::load(from) }
    }

    #[inline(always)]
    unsafe fn nibbles(codes: halves::Lanes) -> [halves::Lanes; 2] {
        // SAFETY: the caller's promise.
        unsafe { halves::nibbles(codes) }
    }

    #[inline(always)]
    unsafe fn dot(sums: halves::Lanes, row: *const u8, weights: halves::Lanes) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe {
            let x = _mm256_set1_epi32(row.cast::<i32>().read_unaligned());
            [dpbusd(sums[0], x, weights[0]), dpbusd(sums[1], x, weights[1])]
        }
    }

    #[inline(always)]
    unsafe fn add(sums: halves::Lanes, value: i32) -> halves::Lanes {
        // SAFETY: the caller's promise.
        unsafe { halves::add(sums, value) }
    }
}

/// `vpdpbusd`: products of unsigned bytes by signed ones, four of them added to each lane modulo 2^32.
#[target_feature(enable = "avx2")]
fn dpbusd(sums: __m256i, x: __m256i, weights: __m256i) -> __m256i {
    let x = [_mm256_and_si256(x, _mm256_set1_epi16(255)), _mm256_srli_epi16::<8>(x)];
    let weights = [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(weights)), _mm256_srai_epi16::<8>(weights)];
    let products = [_mm256_madd_epi16(x[0], weights[0]), _mm256_madd_epi16(x[1], weights[1])];
    _mm256_add_epi32(sums, _mm256_add_epi32(products[0], products[1]))
}

#[target_feature(enable = "avx2")]
fn emulated_tile<const MR: usize, const WEIGHTS: u8>(
    t: &Tile,
    columns: &Columns,
    output: &mut [u8],
    pitch: usize,
) {
    // SAFETY: the target features.
    unsafe { tile::<Emulated, MR, WEIGHTS>(t, columns, output, pitch) }
}

/// As AVX-512 has them: two panels, then their ends.
#[target_feature(enable = "avx2")]
fn emulated_pair<const MR: usize, const WEIGHTS: u8>(
    t: &Tile,
    columns: &Columns,
    second: Second<Columns>,
    output: &mut [u8],
    pitch: usize,
) {
    let mut acc = [[columns.bias, second.columns.bias]; MR];
    // SAFETY: the target features.
    unsafe { multiply::<Emulated, MR, 2, WEIGHTS>(t, [*t.weights, second.weights], &mut acc) };
    end(columns, &mut acc.map(|row| row[0]), output, pitch);
    end(second.columns, &mut acc.map(|row| row[1]), &mut output[second.at..], pitch);
}

/// SplitMix64, its bytes.
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn axis(input: usize, kernel: usize, pad: usize) -> Axis {
    Axis { input, output: input + 2 * pad + 1 - kernel, kernel, stride: 1, dilation: 1, pad }
}

/// One convolution on `side x side` pixels, or as many rows of a matrix, against the reference.
fn check(
    isa: Emulated,
    [side, kernel, inputs, outputs]: [usize; 4],
    input: Quant,
    weight: Quant,
    elem: ElemType,
) {
    let axis = axis(side, kernel, kernel / 2);
    let depth = kernel * kernel * inputs;
    let seed = (side * 1009 + inputs * 31 + outputs) as u64;
    let weights = bytes(seed, weight.elem.bytes(outputs * depth).unwrap());
    let picture = bytes(seed + 1, side * side * inputs);
    let bias: Vec<i32> = bytes(seed + 2, outputs).iter().map(|&b| (i32::from(b) - 128) * 64).collect();
    let raw = elem == ElemType::S32;
    let count = if raw { 0 } else { outputs };
    let (multipliers, shifts) = (vec![0x5555_5555; count], vec![38 + depth.ilog2() as i32 / 2; count]);
    let zero_point = if raw { 0 } else { 5 };
    let p = Conv {
        batch: 1,
        window: Window { y: axis, x: axis },
        in_channels: inputs,
        out_channels: outputs,
        groups: 1,
        input,
        input_codes: (input.elem.min(), input.elem.max()),
        weight,
        weights: &weights,
        bias: &bias,
        multipliers: &multipliers,
        shifts: &shifts,
        rounding: Rounding::Once,
        output: Output { elem, zero_point, lo: elem.min(), hi: elem.max() },
    };
    let mut packed = vec![0; packed_len(Layout::Panels16x4, &p)];
    assert!(pack(Layout::Panels16x4, &p, &mut packed));
    let mut expected = vec![0; p.rows() * outputs * elem.bits() / 8];
    let mut actual = expected.clone();
    reference::conv2d(&p, &picture, &mut expected);
    let mut scratch = vec![0; crate::ops::gemm::scratch::<Emulated>(&p)];
    crate::ops::gemm::run(isa, &p, &packed, &picture, 0..p.rows(), &mut actual, &mut scratch);
    assert!(actual == expected, "{side} {kernel} {inputs} {outputs} {input:?} {weight:?} {elem:?}");
}

#[test]
fn the_body_equals_the_reference() {
    if !std::is_x86_feature_detected!("avx2") {
        return;
    }
    // SAFETY: AVX2 was detected above.
    let isa = Emulated(unsafe { Avx2::new() });
    let quant = |elem, zero_point| Quant { elem, zero_point };
    let weights = [
        quant(ElemType::S8, 0),
        quant(ElemType::S4, 0),
        quant(ElemType::U8, 131),
        quant(ElemType::U8, 0),
        quant(ElemType::U8, 255),
    ];
    for weight in weights {
        for input in [
            quant(ElemType::S8, -128),
            quant(ElemType::S8, 7),
            quant(ElemType::U8, 0),
            quant(ElemType::U8, 255),
        ] {
            for elem in [ElemType::S8, ElemType::U8, ElemType::S16, ElemType::S32] {
                for side in [1, 2, 3, 5] {
                    for (kernel, inputs, outputs) in [
                        (1, 1, 1),
                        (1, 37, 16),
                        (1, 64, 17),
                        (1, 150, 32),
                        (3, 3, 9),
                        (3, 16, 40),
                        (3, 19, 16),
                        (1, 9, 48),
                        (1, 9, 63),
                    ] {
                        check(isa, [side, kernel, inputs, outputs], input, weight, elem);
                    }
                }
            }
        }
    }
}
