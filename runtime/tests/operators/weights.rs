//! Weights of convolutions: packed at load once however many share them, and refused when their padding is not.

use dyadic_format::operator::ConvParams;
use dyadic_format::{Params, Rule};
use dyadic_kernels::ElemType::{S8, U8};
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::pack::{pack, packed_len};
use dyadic_kernels::params::Conv;
use dyadic_kernels::registry::{Layout, kernels};
use dyadic_kernels::requant::Rounding;
use dyadic_runtime::{Cpu, IsaKind, LoadError, Options, Session, Warning};

use super::builder::Builder;
use super::{bytes, end, quant};

/// `count` convolutions of three by three that share their weights, one behind the other.
struct Shared {
    builder: Builder,
    weights: Vec<u8>,
    channels: usize,
    depthwise: bool,
}

impl Shared {
    fn new(count: usize, channels: usize, depthwise: bool) -> Shared {
        let mut builder = Builder::default();
        let depth = if depthwise { 1 } else { channels };
        let weights = bytes(channels * 9 * depth, 1);
        let mut from = builder.input(U8, &[1, 5, 5, channels], 0);
        let kernel = builder.constant(S8, &[channels, 3, 3, depth], 0, &weights);
        for _ in 0..count {
            let words = [vec![7; channels], vec![1 << 30; channels], vec![40; channels]].concat();
            let params = ConvParams {
                stride: [1; 2],
                dilation: [1; 2],
                pad: [1; 2],
                groups: if depthwise { channels as u32 } else { 1 },
                constants_first: builder.constants(&words),
                lo: 0,
                hi: 255,
                product: 1,
            };
            let params = if depthwise { Params::DepthwiseConv2d(params) } else { Params::Conv2d(params) };
            let to = builder.tensor(U8, &[1, 5, 5, channels], 0);
            builder.operator(Rule::RequantOnce, params, &[from, kernel], to, &[]);
            from = to;
        }
        builder.output(from);
        Shared { builder, weights, channels, depthwise }
    }

    /// Number of the layout and the packed bytes.
    fn packed(&self) -> (u32, Vec<u8>) {
        let axis = Axis { input: 5, output: 5, kernel: 3, stride: 1, dilation: 1, pad: 1 };
        let conv = Conv {
            batch: 1,
            window: Window { y: axis, x: axis },
            in_channels: self.channels,
            out_channels: self.channels,
            groups: if self.depthwise { self.channels } else { 1 },
            input: quant(U8, 0),
            input_codes: (0, 255),
            weight: quant(S8, 0),
            weights: &self.weights,
            bias: &[],
            multipliers: &[],
            shifts: &[],
            rounding: Rounding::Once,
            output: end(U8, 0, 0, 255),
        };
        let mut packed = vec![0; packed_len(self.layout(), &conv)];
        assert!(pack(self.layout(), &conv, &mut packed));
        (if self.depthwise { 2 } else { 1 }, packed)
    }

    fn layout(&self) -> Layout {
        if self.depthwise { Layout::Depthwise32x2 } else { Layout::Panels16x2 }
    }

    fn session(&self, isa: IsaKind, memory_limit: u64) -> Result<Session, LoadError> {
        let options = Options { isa: Some(isa), memory_limit, ..Options::default() };
        Session::new(self.builder.model().unwrap_or_else(|e| panic!("{e}")), &options)
    }

    /// Bytes that were packed or decoded at load, one entry per form.
    fn repacked(&self, isa: IsaKind) -> Vec<usize> {
        let session = self.session(isa, 1 << 24).unwrap_or_else(|e| panic!("{e}"));
        let bytes = |w: &Warning| match w {
            Warning::Repacked { operator: 0, bytes, .. } => *bytes,
            other => panic!("{other}"),
        };
        session.warnings().iter().map(bytes).collect()
    }
}

#[test]
fn shared_weights_are_packed_once() {
    for (channels, depthwise) in [(20, false), (20, true), (40, true)] {
        let mut shared = Shared::new(30, channels, depthwise);
        let (number, packed) = shared.packed();
        assert_eq!(shared.repacked(IsaKind::Reference), [0; 0]);
        assert_eq!(shared.repacked(IsaKind::Portable), [packed.len()]);
        // Left out, they are decoded once for the reference.
        for operator in 0..30 {
            shared.builder.contents.packed(operator, number, &packed);
        }
        assert_eq!(shared.builder.contents.leave_out_packed_weights(), shared.weights.len());
        assert_eq!(shared.repacked(IsaKind::Portable), [0; 0]);
        assert_eq!(shared.repacked(IsaKind::Reference), [shared.weights.len()]);
        let error = shared.session(IsaKind::Reference, 1000).err();
        assert!(matches!(error, Some(LoadError::Memory { limit: 1000, .. })));
    }
}

/// Kernels read padding; what it holds must not reach the output.
#[test]
fn padding_of_packed_weights_is_checked() {
    // Fewer channels than a block, and a last block that repeats some of the one before.
    for (channels, depthwise, at) in
        [(20, false, None), (20, true, None), (20, true, Some(125)), (40, true, Some(640))]
    {
        let mut shared = Shared::new(1, channels, depthwise);
        let (number, mut packed) = shared.packed();
        let at = at.unwrap_or(packed.len() - 1);
        packed[at] ^= 1;
        shared.builder.contents.packed(0, number, &packed);
        let reads = |isa: &IsaKind| kernels().any(|k| k.isa == *isa && k.layout == shared.layout());
        for isa in IsaKind::ALL.into_iter().filter(|&isa| Cpu::detect().has(isa)).filter(reads) {
            match shared.session(isa, 1 << 24).err() {
                Some(LoadError::Operator { what: "padding of packed weights", .. }) => {}
                other => panic!("{channels} {depthwise} {at} {}: {other:?}", isa.name()),
            }
        }
    }
}
