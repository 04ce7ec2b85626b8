//! Depthwise convolution of 32 channels at a time, four taps of a column to one `vpdpbusd`.
//!
//! The bytes of up to four rows are interleaved once for every column of the input, so that a lane of 32 bits has what one
//! channel needs of them; all outputs that see the column then read it. Weights must be signed bytes: those that are not, as
//! the u8 of older networks less their zero point, become the sum of two that are. Windows and factors for which there is no
//! body here go to the kernel of AVX2.

use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::{Avx512Vnni, Narrow, ONCE, PLAIN_S8, PLAIN_U8, TWICE, high_halves, with_zero_point};
use crate::isa::avx2;
use crate::ops::depthwise::tiles::{self, DepthwiseIsa, Gather, Run, reach};
use crate::pack::depthwise::BLOCK;
use crate::params::Conv;

mod weights;

use weights::Weights;

/// The lanes of 32 channels, in the order of the quads: 0 and 1, then 2 and 3.
type Halves = [__m512i; 2];

/// Outputs whose columns are interleaved together.
const OUTPUTS: usize = 16;
/// Most columns that they see, and one more.
const COLUMNS: usize = 48;
/// Rows of one interleaving.
const ROWS: usize = 4;

/// See [`crate::registry::ConvFn`].
///
/// # Safety
/// The CPU has AVX2 and AVX-512 BW, VL and VNNI.
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
pub(crate) unsafe fn depthwise(
    p: &Conv,
    packed: &[u8],
    input: &[u8],
    rows: Range<usize>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    // SAFETY: the caller's promise.
    let isa = unsafe { Avx512Vnni::new() };
    tiles::depthwise(isa, p, packed, input, rows, output, scratch);
}

impl DepthwiseIsa for Avx512Vnni {
    type Epilogue = Epilogue;

    #[inline(always)]
    fn epilogue(self, p: &Conv, block: usize, weights: &[u8]) -> Epilogue {
        // SAFETY: the token proves AVX2 and AVX-512 BW, VL and VNNI.
        unsafe { Epilogue::new(p, block, weights) }
    }

    #[inline(always)]
    fn gather(self, gather: &Gather, source: &[u8], flip: u8, target: &mut [u8]) {
        self.0.gather(gather, source, flip, target);
    }

    #[inline(always)]
    fn compute(
        self,
        run: &Run,
        rows: Range<usize>,
        columns: Range<usize>,
        epilogue: &Epilogue,
        output: &mut [u8],
    ) {
        // SAFETY: the token proves AVX2 and AVX-512 BW, VL and VNNI.
        unsafe { compute(self, run, rows, columns, epilogue, output) }
    }
}

/// The end of the operation for one block of channels, and its weights as bytes.
#[derive(Debug)]
pub(crate) struct Epilogue {
    avx2: avx2::depthwise::Epilogue,
    end: End,
    narrow: Narrow,
    weights: Weights,
    /// Whether there is a body for the window, the weights and the factors.
    known: bool,
}

impl Epilogue {
    #[target_feature(enable = "avx2,avx512bw,avx512vl")]
    fn new(p: &Conv, block: usize, weights: &[u8]) -> Epilogue {
        let avx2 = avx2::depthwise::Epilogue::new(p, block, weights);
        let window = [p.window.y.kernel, p.window.x.kernel];
        // Fewer channels than a block has lie closer than whole vectors.
        let known = p.out_channels >= BLOCK && (window == [3, 3] || window == [5, 5]) && !avx2.is_mixed();
        let mut end = End::new(&avx2);
        let narrow = Narrow::new(p, &end.right, u16::MAX);
        if narrow.is_plain() {
            for half in 0..2 {
                end.round[half] = with_zero_point(end.round[half], end.right[half], p.output.zero_point);
            }
        }
        let mut epilogue = Epilogue { avx2, end, narrow, weights: Weights::zero(), known };
        epilogue.known = known && epilogue.weights.fill(window, weights);
        epilogue
    }
}

#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
fn compute(
    isa: Avx512Vnni,
    run: &Run,
    rows: Range<usize>,
    columns: Range<usize>,
    epilogue: &Epilogue,
    output: &mut [u8],
) {
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    if !epilogue.known || !Lines::fit(run) {
        return isa.0.compute(run, rows, columns, &epilogue.avx2, output);
    }
    let work = Work { run, epilogue };
    match (run.window[1], epilogue.weights.two) {
        (3, false) => work.of::<3, 1, 1>(rows, columns, output),
        (3, true) => work.of::<3, 1, 2>(rows, columns, output),
        (_, false) => work.of::<5, 2, 1>(rows, columns, output),
        (_, true) => work.of::<5, 2, 2>(rows, columns, output),
    }
}

/// Interleaved columns: four bytes to a lane, [`ROWS`] rows each.
struct Lines {
    lanes: [[MaybeUninit<Halves>; COLUMNS]; 2],
}

impl Lines {
    /// Columns from one output to the next, and from one tap to the next.
    fn steps(run: &Run) -> [usize; 2] {
        [run.step / BLOCK, (run.taps[1] - run.taps[0]) / BLOCK]
    }

    /// Columns that `outputs` neighbours see.
    fn columns(run: &Run, outputs: usize) -> usize {
        let [stride, dilation] = Lines::steps(run);
        (outputs - 1).saturating_mul(stride).saturating_add((run.window[1] - 1).saturating_mul(dilation)) + 1
    }

    /// Whether those of [`OUTPUTS`] have room, an even number of them.
    fn fit(run: &Run) -> bool {
        Lines::columns(run, OUTPUTS) < COLUMNS
    }
}

struct Work<'a> {
    run: &'a Run<'a>,
    epilogue: &'a Epilogue,
}

impl Work<'_> {
    /// Windows `WIDTH` wide and up to `4 * GROUPS` high, weights of `TERMS` bytes.
    #[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
    fn of<const WIDTH: usize, const GROUPS: usize, const TERMS: usize>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        output: &mut [u8],
    ) {
        match self.epilogue.narrow.kind {
            PLAIN_S8 => self.compute::<WIDTH, GROUPS, TERMS, PLAIN_S8>(rows, columns, output),
            PLAIN_U8 => self.compute::<WIDTH, GROUPS, TERMS, PLAIN_U8>(rows, columns, output),
            TWICE => self.compute::<WIDTH, GROUPS, TERMS, TWICE>(rows, columns, output),
            _ => self.compute::<WIDTH, GROUPS, TERMS, ONCE>(rows, columns, output),
        }
    }

    #[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
    fn compute<const WIDTH: usize, const GROUPS: usize, const TERMS: usize, const END: u8>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        output: &mut [u8],
    ) {
        let run = self.run;
        let last = reach([rows.end, columns.end], [run.row, run.step]);
        let last_output = reach([rows.len(), columns.len()], [run.output_row, run.output_step]);
        let furthest = run.taps.iter().fold(0, |furthest, &tap| furthest.max(tap));
        // Columns are read in twos: one behind the last, too.
        assert!(furthest.saturating_add(last).saturating_add(BLOCK) <= run.source.len());
        assert!(last_output <= output.len() && run.window == [WIDTH, WIDTH] && Lines::fit(run));
        let mut lines = Lines { lanes: [[MaybeUninit::uninit(); COLUMNS]; 2] };
        // Two rows of outputs see four rows of the source, where these are neighbours.
        let twos = WIDTH < ROWS && run.row == run.taps[WIDTH] - run.taps[0];
        let mut row = rows.start;
        while row < rows.end {
            let count = if twos && row + 1 < rows.end { 2 } else { 1 };
            for first in columns.clone().step_by(OUTPUTS) {
                let outputs = OUTPUTS.min(columns.end - first);
                let source = row * run.row + first * run.step;
                let target = (row - rows.start) * run.output_row + (first - columns.start) * run.output_step;
                // SAFETY: the assertions: rows and columns of these outputs are inside the source, their places inside the
                // output, and the columns have room in the lines.
                unsafe {
                    self.interleave::<GROUPS>(source, count, outputs, &mut lines);
                    let output = output.as_mut_ptr().add(target);
                    self.outputs::<WIDTH, GROUPS, TERMS, END>(&lines, 0, outputs, output);
                    if count == 2 {
                        let output = output.add(run.output_row);
                        self.outputs::<WIDTH, GROUPS, TERMS, END>(&lines, 1, outputs, output);
                    }
                }
            }
            row += count;
        }
    }

    /// The columns that `outputs` neighbours of `count` rows see, of which the first reads its first tap at `source`.
    ///
    /// # Safety
    /// Rows of as many columns, and of one more, are readable there; `Lines` has room for them.
    #[inline]
    #[target_feature(enable = "avx512bw")]
    unsafe fn interleave<const GROUPS: usize>(
        &self,
        source: usize,
        count: usize,
        outputs: usize,
        lines: &mut Lines,
    ) {
        let [height, width] = self.run.window;
        let columns = Lines::columns(self.run, outputs);
        for group in 0..GROUPS {
            // Rows that no window has meet weights of 0: any will do.
            let row = |r: usize| {
                let r = ROWS * group + r;
                let lower = if r >= height && count == 2 { self.run.row } else { 0 };
                let tap = self.run.taps[r.min(height - 1) * width];
                self.run.source.as_ptr().wrapping_add(source + tap + lower)
            };
            let rows = [row(0), row(1), row(2), row(3)];
            for column in (0..columns).step_by(2) {
                let at = column * BLOCK;
                // SAFETY: the caller's promise: two columns of each row.
                let [a, b, c, d] = unsafe {
                    [
                        _mm512_loadu_si512(rows[0].add(at).cast()),
                        _mm512_loadu_si512(rows[1].add(at).cast()),
                        _mm512_loadu_si512(rows[2].add(at).cast()),
                        _mm512_loadu_si512(rows[3].add(at).cast()),
                    ]
                };
                let low = [_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d)];
                let high = [_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d)];
                // The quads of both columns.
                let quads = [
                    _mm512_unpacklo_epi16(low[0], low[1]),
                    _mm512_unpackhi_epi16(low[0], low[1]),
                    _mm512_unpacklo_epi16(high[0], high[1]),
                    _mm512_unpackhi_epi16(high[0], high[1]),
                ];
                let to: *mut __m256i = lines.lanes[group][column..column + 2].as_mut_ptr().cast();
                for (q, quad) in quads.into_iter().enumerate() {
                    // Volatile: the compiler would make whole vectors of neighbours first, with shuffles, which the
                    // core has least room for. SAFETY: two columns have eight vectors.
                    unsafe {
                        to.add(q).write_volatile(_mm512_castsi512_si256(quad));
                        to.add(4 + q).write_volatile(_mm512_extracti64x4_epi64::<1>(quad));
                    }
                }
            }
        }
    }

    /// `count` outputs of row `lower` of a pair, from `output` on.
    ///
    /// # Safety
    /// Their places, [`BLOCK`] bytes each, are writable.
    #[inline]
    #[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vnni")]
    unsafe fn outputs<const WIDTH: usize, const GROUPS: usize, const TERMS: usize, const END: u8>(
        &self,
        lines: &Lines,
        lower: usize,
        count: usize,
        output: *mut u8,
    ) {
        let [stride, dilation] = Lines::steps(self.run);
        let end = &self.epilogue.end;
        let mut at = 0;
        while at < count {
            // The last of an odd number goes with itself.
            let next = usize::from(at + 1 < count);
            // SAFETY: these are columns of the outputs, which were interleaved.
            let two = unsafe {
                let line = lines.lanes.as_ptr().cast::<Halves>().add(at * stride);
                [line, line.add(next * stride)]
            };
            let mut sums = [[end.start::<END>(0), end.start::<END>(1)]; 2];
            for group in 0..GROUPS {
                for column in 0..WIDTH {
                    for term in 0..TERMS {
                        let weights = &self.epilogue.weights.bytes[term][group + lower][column];
                        for (sums, line) in sums.iter_mut().zip(two) {
                            // SAFETY: the column of this tap is that of the output or behind it.
                            let lanes = unsafe { &*line.add(group * COLUMNS + column * dilation) };
                            sums[0] = _mm512_dpbusd_epi32(sums[0], lanes[0], weights[0]);
                            sums[1] = _mm512_dpbusd_epi32(sums[1], lanes[1], weights[1]);
                        }
                    }
                }
            }
            let values = [
                end.rescale::<END>(sums[0][0], 0),
                end.rescale::<END>(sums[0][1], 1),
                end.rescale::<END>(sums[1][0], 0),
                end.rescale::<END>(sums[1][1], 1),
            ];
            let bytes = self.epilogue.narrow.bytes::<END>(values);
            // Slots 0-3, 8-11 | 16-19, 24-27 | 4-7, 12-15 | 20-23, 28-31, of either output in turn.
            let order = _mm512_setr_epi32(0, 8, 1, 9, 4, 12, 5, 13, 2, 10, 3, 11, 6, 14, 7, 15);
            let bytes = _mm512_permutexvar_epi32(order, bytes);
            // SAFETY: the caller's promise.
            unsafe {
                let to = output.add(at * self.run.output_step);
                _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(bytes));
                let to = to.add(next * self.run.output_step);
                _mm256_storeu_si256(to.cast(), _mm512_extracti64x4_epi64::<1>(bytes));
            }
            at += 2;
        }
    }
}

/// Factors of a block that need no left shift: [`avx2::depthwise::Epilogue`] in vectors of 512 bits.
#[derive(Debug)]
struct End {
    bias: Halves,
    multiplier: Halves,
    multiplier_odd: Halves,
    round: Halves,
    right: Halves,
}

impl End {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(epilogue: &avx2::depthwise::Epilogue) -> End {
        let [bias, multiplier, multiplier_odd, round, right] = epilogue.factors();
        let halves = |quads: &[__m256i; 4]| {
            let both = |first, second| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
            [both(quads[0], quads[1]), both(quads[2], quads[3])]
        };
        End {
            bias: halves(bias),
            multiplier: halves(multiplier),
            multiplier_odd: halves(multiplier_odd),
            round: halves(round),
            right: halves(right),
        }
    }

    /// What sums start from.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn start<const END: u8>(&self, half: usize) -> __m512i {
        if END == TWICE { _mm512_setzero_si512() } else { self.bias[half] }
    }

    /// The rounding of sums.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn rescale<const END: u8>(&self, sums: __m512i, half: usize) -> __m512i {
        // For two roundings twice the accumulator.
        let acc =
            if END == TWICE { _mm512_add_epi32(_mm512_add_epi32(sums, sums), self.bias[half]) } else { sums };
        let mut even = _mm512_mul_epi32(acc, self.multiplier[half]);
        let mut odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(acc), self.multiplier_odd[half]);
        if END == TWICE {
            let half = _mm512_set1_epi64(1 << 31);
            (even, odd) = (_mm512_add_epi64(even, half), _mm512_add_epi64(odd, half));
        }
        let high = high_halves(even, odd);
        let mut rounded = _mm512_add_epi32(high, self.round[half]);
        if END == TWICE {
            // Ties away from zero: a negative value rounds up only from beyond the tie.
            rounded = _mm512_add_epi32(rounded, _mm512_srai_epi32::<31>(high));
        }
        _mm512_srav_epi32(rounded, self.right[half])
    }
}
