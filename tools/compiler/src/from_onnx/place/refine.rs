//! Finer accumulators for layers of few bits.
//!
//! The steps of an accumulator are those of input and weights together. With weights of 4 bits or fewer they are coarse,
//! and a bias that is a real number (a normalisation that was folded, a bias that nobody quantized) loses up to half of
//! one. Doubling the codes of a channel and halving their scale changes no product and halves the step.

use dyadic_kernels::ElemType;

use super::layers::bias_steps;
use crate::from_onnx::constant::Quantized;
use crate::from_onnx::reals::{Quant, RealConv};
use crate::from_onnx::resolve::scale_of;

/// Steps of the output that the rounding of a bias may take.
const TOLERATED: f64 = 1.0 / 64.0;

/// The layer with codes doubled as far as its bias needs: within 4 bits where that is enough, else within 8. `None` where
/// nothing is to be gained.
pub(super) fn refined(conv: &RealConv, input: Quant, to: Quant) -> Option<RealConv> {
    let channels = conv.gain.len();
    let per_channel = conv.weights.axis == 0 && conv.weights.scales.len() == channels;
    if conv.bias_down
        || conv.weights.bits > 4
        || to.elem == ElemType::S32
        || !(per_channel || conv.weights.scales.len() == 1)
    {
        return None;
    }
    let codes = conv.weights.centred();
    // Every channel has as many codes.
    let depth = (codes.len() / channels.max(1)).max(1);
    // The error that is left when the codes of a channel are doubled `times` times.
    let error = |c: usize, times: u32| {
        let fine = f64::from(1u32 << times);
        let steps = bias_steps(conv, input, c) * fine;
        let step = f64::from(input.scale) * f64::from(scale_of(&conv.weights.scales, c)) / fine;
        (steps - libm::rint(steps)).abs() * step * conv.gain[c].abs() / f64::from(to.scale)
    };
    let enough = |times: &[u32]| (0..channels).all(|c| error(c, times[c]) <= TOLERATED);
    if enough(&vec![0; channels]) {
        return None;
    }
    let room = |elem: ElemType| -> Vec<u32> { codes.chunks(depth).map(|row| doublings(row, elem)).collect() };
    let (mut times, mut bits) = (room(ElemType::S4), conv.weights.bits);
    if !enough(&times) {
        (times, bits) = (room(ElemType::S8), 8);
    }
    let doubled = codes.iter().enumerate().map(|(i, &w)| w << times[i / depth]).collect();
    let scale = |c: usize| scale_of(&conv.weights.scales, c) / (1u32 << times[c]) as f32;
    let weights = Quantized {
        codes: doubled,
        bits,
        scales: (0..channels).map(scale).collect(),
        zero_points: vec![0; channels],
        axis: 0,
        ..conv.weights.clone()
    };
    Some(RealConv { weights, ..conv.clone() })
}

/// How often all codes of a channel can be doubled within a type; at most 7 times.
fn doublings(row: &[i32], elem: ElemType) -> u32 {
    let fits =
        |times: u32| row.iter().all(|&w| (elem.min()..=elem.max()).contains(&w.saturating_mul(1 << times)));
    (0..=7).rev().find(|&times| fits(times)).unwrap_or(0)
}
