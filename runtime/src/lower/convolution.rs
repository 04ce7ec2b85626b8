//! Convolutions and fully connected layers.

use dyadic_format::operator::ConvParams;
use dyadic_format::{OpKind, OperatorRecord, Rule, TensorRecord};
use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::pack::{pack, packed_len, unpack};
use dyadic_kernels::params::Conv;
use dyadic_kernels::registry::{KernelOp, Layout};

use super::{Bound, Lowered, Lowering, SPLIT_MACS, dyadic, elem_of, expect, nhwc, output, quant, rounding};
use crate::error::Warning;
use crate::step::{Weights, Work};

/// Most products of one output element: sums of 8-bit products of that many stay far inside 64 bits.
const MAX_DEPTH: usize = 1 << 28;

/// Layout numbers of the file.
const LAYOUTS: [(u32, Layout); 2] = [(1, Layout::Panels16x2), (2, Layout::Depthwise32x2)];

fn layout_number(layout: Layout) -> Option<u32> {
    LAYOUTS.iter().find(|(_, l)| *l == layout).map(|(number, _)| *number)
}

impl Lowering<'_, '_> {
    pub(super) fn convolution(
        &mut self,
        number: usize,
        op: &OperatorRecord,
        kind: OpKind,
        rule: Rule,
        params: &ConvParams,
    ) -> Lowered<Bound> {
        let (from, weight, to) = (self.input(op, 0), self.input(op, 1), self.output(op));
        let (batch, window, in_channels, out_channels) = geometry(kind, params, from, weight, to)?;
        let constants = params.constants_first as usize;
        // The view checked the range against the output's last extent, which is `out_channels`.
        let (multipliers, shifts) =
            self.view.constants()[constants + out_channels..][..2 * out_channels].split_at(out_channels);
        for (&multiplier, &shift) in multipliers.iter().zip(shifts) {
            dyadic(multiplier, shift)?;
        }
        let activation = |t: &TensorRecord| !matches!(elem_of(t), ElemType::S32);
        expect(activation(from) && activation(to), || {
            "input and output must have 16 bits or fewer".to_string()
        })?;
        let weight_type = elem_of(weight);
        let known = matches!(weight_type, ElemType::S8 | ElemType::S4 | ElemType::U8);
        expect(known, || format!("weights are {}, expected s8, s4 or u8", weight_type.name()))?;
        let conv = Conv {
            batch,
            window,
            in_channels,
            out_channels,
            groups: params.groups as usize,
            input: quant(from),
            weight: quant(weight),
            weights: &[],
            bias: &[],
            multipliers: &[],
            shifts: &[],
            rounding: rounding(rule)?,
            output: output(to, params.lo, params.hi),
        };
        self.bind_convolution(number, op, kind, conv, constants)
    }

    fn bind_convolution(
        &mut self,
        number: usize,
        op: &OperatorRecord,
        kind: OpKind,
        conv: Conv<'static>,
        constants: usize,
    ) -> Lowered<Bound> {
        let channels = conv.out_channels;
        let all = &self.view.constants()[constants..][..3 * channels];
        let unpacked = self.logical(number, op, &conv)?;
        let full = Conv {
            weights: unpacked.as_deref().or(self.view.constant(self.input(op, 1))).unwrap_or(&[]),
            bias: &all[..channels],
            multipliers: &all[channels..2 * channels],
            shifts: &all[2 * channels..],
            ..conv
        };
        let kernel_op = if kind == OpKind::DepthwiseConv2d { KernelOp::Depthwise } else { KernelOp::Gemm };
        let kernel = self.choice.conv(kernel_op, &full).ok_or("no kernel takes these parameters")?;
        let weights = self.weights(number, op, kernel.kernel().layout, &full, unpacked.is_some())?;
        self.program.scratch = self.program.scratch.max((kernel.kernel().scratch)(&full));
        let macs = conv.rows() as u64 * channels as u64 * conv.depth() as u64;
        let split = kernel.kernel().banded && macs >= SPLIT_MACS as u64;
        let row = kernel.kernel();
        let input = self.input_place(op, 0)?;
        let work = Work::Conv { kernel, conv, weights, constants, input, split };
        Ok(Bound { work, kernel: Some(row), macs, weight_bytes: self.input(op, 1).bytes })
    }

    /// Logical weights decoded from a packed copy, for a file that leaves the logical ones out.
    fn logical(&self, number: usize, op: &OperatorRecord, conv: &Conv) -> Lowered<Option<Vec<u8>>> {
        let tensor = self.input(op, 1);
        if self.view.constant(tensor).is_some() {
            return Ok(None);
        }
        for (id, layout) in LAYOUTS {
            if let Some(packed) = self.view.packed_weights(number, id) {
                let mut logical = vec![0; tensor.bytes as usize];
                if unpack(layout, conv, packed, &mut logical) {
                    return Ok(Some(logical));
                }
            }
        }
        Err("the file holds neither logical nor readable packed weights".to_string())
    }

    fn weights(
        &mut self,
        number: usize,
        op: &OperatorRecord,
        layout: Layout,
        conv: &Conv,
        unpacked: bool,
    ) -> Lowered<Weights> {
        let Some(id) = layout_number(layout) else {
            return match self.input_place(op, 1) {
                Ok(crate::step::Place::Constant(range)) if !unpacked => Ok(Weights::Logical(range)),
                _ => Ok(Weights::Owned(conv.weights.to_vec())),
            };
        };
        let index = self.view.packed_index();
        let length = packed_len(layout, conv);
        let found = index.iter().position(|p| p.operator as usize == number && p.layout == id);
        if let Some(i) = found {
            let bytes = index[i].bytes as usize;
            expect(bytes == length, || format!("packed weights have {bytes} bytes, expected {length}"))?;
            return Ok(Weights::Packed(i));
        }
        let mut packed = Vec::new();
        packed
            .try_reserve_exact(length)
            .map_err(|_| format!("no memory for {length} bytes of packed weights"))?;
        packed.resize(length, 0);
        expect(pack(layout, conv, &mut packed), || "the weights cannot be packed".to_string())?;
        self.program.warnings.push(Warning::Repacked { step: number, bytes: length });
        Ok(Weights::Owned(packed))
    }
}

/// Batch, window, input channels, output channels, all consistent.
fn geometry(
    kind: OpKind,
    p: &ConvParams,
    from: &TensorRecord,
    weight: &TensorRecord,
    to: &TensorRecord,
) -> Lowered<(usize, Window, usize, usize)> {
    let extents: Vec<usize> = weight.shape().iter().map(|&e| e as usize).collect();
    let elements = |t: &TensorRecord| t.shape().iter().map(|&e| e as usize).product::<usize>();
    if kind == OpKind::FullyConnected {
        let [out_channels, depth] = extents[..] else {
            return Err(format!("weights have shape {extents:?}, expected [out, in]"));
        };
        let rows = elements(from) / depth;
        let fits =
            rows * depth == elements(from) && to.shape().last().is_some_and(|&c| c as usize == out_channels);
        expect(fits && elements(to) == rows * out_channels && p.groups == 1, || {
            format!("input {:?}, weights {extents:?} and output {:?} do not fit", from.shape(), to.shape())
        })?;
        return Ok((rows, Window::POINT, depth, out_channels));
    }
    let ([batch, in_h, in_w, in_channels], [out_batch, out_h, out_w, out_last]) = (nhwc(from)?, nhwc(to)?);
    let [out_channels, kernel_h, kernel_w, group_channels] = extents[..] else {
        return Err(format!("weights have shape {extents:?}, expected 4 axes"));
    };
    let axis = |i: usize, input, output, kernel| Axis {
        input,
        output,
        kernel,
        stride: p.stride[i] as usize,
        dilation: p.dilation[i] as usize,
        pad: p.pad[i] as usize,
    };
    let window = Window { y: axis(0, in_h, out_h, kernel_h), x: axis(1, in_w, out_w, kernel_w) };
    let groups = p.groups as usize;
    let depth = window.taps().checked_mul(group_channels);
    let fits = window.y.is_valid()
        && window.x.is_valid()
        && depth.is_some_and(|d| d <= MAX_DEPTH)
        && out_batch == batch
        && out_last == out_channels
        && groups >= 1
        && groups.checked_mul(group_channels) == Some(in_channels)
        && out_channels.is_multiple_of(groups)
        && (kind != OpKind::DepthwiseConv2d || groups == in_channels);
    expect(fits, || {
        format!(
            "input {:?}, weights {extents:?}, output {:?}, stride {:?}, dilation {:?} and {groups} groups do not fit",
            from.shape(),
            to.shape(),
            p.stride,
            p.dilation
        )
    })?;
    Ok((batch, window, in_channels, out_channels))
}
