//! Convolutions and fully connected layers: bias, multipliers, shifts, and the rule.

use dyadic_format::operator::{ConvParams, ScaleProduct};
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType;
use dyadic_kernels::params::Quant;
use dyadic_kernels::requant::Dyadic;

use super::{Emitter, clamp};
use crate::ir::{Conv, ConvKind, Node, Tensor};
use crate::prove::{Interval, channel_intervals};
use crate::quantize::Contract;
use crate::quantize::dyadic::FactorError;
use crate::quantize::factors;

impl Emitter<'_> {
    pub(super) fn convolution(&mut self, node: &Node, conv: &Conv) -> Result<(Rule, Params), FactorError> {
        let (from, weights, to) = (self.ir(node.inputs[0]), self.ir(node.inputs[1]), self.ir(node.output));
        let product = match self.contract {
            Contract::Tflite if conv.single_product => ScaleProduct::Single,
            Contract::Tflite | Contract::Dyadic => ScaleProduct::Double,
        };
        let channels = conv.bias.len();
        let mut dyadics = Vec::with_capacity(channels);
        let raw = to.elem == ElemType::S32;
        for c in 0..if raw { 0 } else { channels } {
            let scale = weights.scales.get(c).copied().unwrap_or(weights.scale());
            dyadics.push(factors::convolution(from.scale(), scale, to.scale(), product)?);
        }
        let rule = match (self.contract, conv.kind) {
            _ if raw => Rule::Accumulate,
            (Contract::Dyadic, _) => Rule::RequantOnce,
            (Contract::Tflite, ConvKind::Conv2d | ConvKind::Depthwise) => Rule::RequantTwice,
            (Contract::Tflite, ConvKind::FullyConnected) => {
                // Bounds from the type are enough to decide whether a tie can occur.
                let centred = |x: i32| i64::from(x) - i64::from(from.zero_point);
                let range = (centred(from.elem.min()), centred(from.elem.max()));
                let quant = Quant { elem: weights.elem, zero_point: weights.zero_point };
                let data = weights.data.as_deref().unwrap_or(&[]);
                fully_connected_rule(&dyadics, &channel_intervals(quant, data, &conv.bias, range))
            }
        };
        let constants_first = self.contents.constants.len() as u32;
        let mut bias = conv.bias.clone();
        if rule == Rule::RequantTwice {
            wrap_dead_channels(&mut bias, &dyadics, weights);
        }
        self.contents.constants.extend(&bias);
        self.contents.constants.extend(dyadics.iter().map(|d| d.multiplier));
        self.contents.constants.extend(dyadics.iter().map(|d| d.shift));
        let (lo, hi) = clamp(conv.activation, to);
        let two = |v: [usize; 2]| v.map(|x| x as u32);
        let params = ConvParams {
            stride: two(conv.stride),
            dilation: two(conv.dilation),
            pad: two(conv.pad),
            groups: conv.groups as u32,
            constants_first,
            lo,
            hi,
            product: product as u32,
        };
        let params = match conv.kind {
            ConvKind::Conv2d => Params::Conv2d(params),
            ConvKind::Depthwise => Params::DepthwiseConv2d(params),
            ConvKind::FullyConnected => Params::FullyConnected(params),
        };
        Ok((rule, params))
    }
}

/// TFLite's left shift of factors above 1 wraps at 32 bits, and quantizers give channels without a non-zero weight a
/// bias at the end of the range. Such a channel is constant: the bias that gives the wrapped value without wrapping
/// stands for it.
fn wrap_dead_channels(bias: &mut [i32], dyadics: &[Dyadic], weights: &Tensor) {
    let data = weights.data.as_deref().unwrap_or(&[]);
    let depth = weights.elements() / bias.len().max(1);
    for (c, (bias, d)) in bias.iter_mut().zip(dyadics).enumerate() {
        let mut row = (c * depth..(c + 1) * depth).map(|i| weights.elem.load(data, i));
        let left = (31 - d.shift).max(0);
        if left > 0 && row.all(|w| w == weights.zero_point) {
            *bias = bias.wrapping_shl(left as u32) >> left;
        }
    }
}

/// TFLite rounds fully connected layers once, ties away from zero. Where no accumulator below zero can be a tie, ties
/// toward +infinity give the same values, and that is the rule the fast kernels have.
fn fully_connected_rule(dyadics: &[Dyadic], intervals: &[Interval]) -> Rule {
    let tie = dyadics.iter().zip(intervals).any(|(d, &(lo, _))| tie_below_zero(*d, lo));
    if tie { Rule::RequantOnceAway } else { Rule::RequantOnce }
}

/// Whether some `acc` in `lo..0` makes `acc * m / 2^s` an odd multiple of 1/2: then `2^(s-1)` divides `acc * m`, so
/// `|acc|` is at least `2^(s - 1 - v)` with `2^v` the largest power of two in `m`.
fn tie_below_zero(d: Dyadic, lo: i64) -> bool {
    if d.multiplier == 0 {
        return false;
    }
    let needed = d.shift - 1 - d.multiplier.trailing_zeros() as i32;
    needed < 62 && lo.saturating_neg() >= 1i64 << needed.max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_found_exactly() {
        use dyadic_kernels::requant::{rescale_once, rescale_once_away};
        for (multiplier, shift) in [(1 << 30, 34), (3 << 29, 35), ((1 << 30) + 1, 34), (5 << 28, 31)] {
            let d = Dyadic { multiplier, shift };
            let differs = |acc: i32| rescale_once(acc, d) != rescale_once_away(acc, d);
            for lo in -300..=0 {
                assert_eq!(tie_below_zero(d, lo.into()), (lo..0).any(differs), "{d:?} {lo}");
            }
        }
    }
}
