//! Every convolution kernel of the registry that this CPU runs, on the shapes of real layers. Before it is timed each
//! kernel is compared with the reference once.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dyadic_benches::{LAYERS, Layer};
use dyadic_kernels::ElemType;
use dyadic_kernels::geometry::{Axis, Window};
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_kernels::pack::{pack, packed_len};
use dyadic_kernels::params::{Conv, Output, Quant};
use dyadic_kernels::reference;
use dyadic_kernels::registry::{Choice, KernelOp};
use dyadic_kernels::requant::Rounding;

/// What a layer's parameters borrow.
struct Data {
    weights: Vec<u8>,
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    shifts: Vec<i32>,
    input: Vec<u8>,
}

/// What of weights and activations is timed: types, codes of the input.
const FORMS: [(&str, ElemType, (i32, i32)); 4] = [
    ("", ElemType::S8, (-128, 127)),
    (", W4A8", ElemType::S4, (-128, 127)),
    (", W4A4", ElemType::S4, (-128, -113)),
    (", 7-bit activations", ElemType::S8, (0, 127)),
];

fn data(layer: &Layer, (_, weight, (lo, hi)): (&str, ElemType, (i32, i32))) -> Data {
    let depth = if layer.depthwise { 1 } else { layer.input };
    let mut state = 1u32;
    let mut bytes = |count: usize| -> Vec<u8> {
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..count).map(next).collect()
    };
    Data {
        weights: bytes(layer.output * layer.kernel * layer.kernel * depth * weight.bits() / 8),
        input: bytes(layer.side * layer.side * layer.input)
            .iter()
            .map(|&byte| (lo + i32::from(byte) % (hi - lo + 1)) as u8)
            .collect(),
        bias: vec![100; layer.output],
        multipliers: vec![1_500_000_000; layer.output],
        shifts: vec![40; layer.output],
    }
}

fn convolution<'a>(
    layer: &Layer,
    (_, weight, codes): (&str, ElemType, (i32, i32)),
    data: &'a Data,
) -> Conv<'a> {
    let axis = Axis {
        input: layer.side,
        output: layer.side.div_ceil(layer.stride),
        kernel: layer.kernel,
        stride: layer.stride,
        dilation: 1,
        pad: (layer.kernel - 1) / 2,
    };
    Conv {
        batch: 1,
        window: Window { y: axis, x: axis },
        in_channels: layer.input,
        out_channels: layer.output,
        groups: if layer.depthwise { layer.input } else { 1 },
        input: Quant { elem: ElemType::S8, zero_point: codes.0 },
        input_codes: codes,
        weight: Quant { elem: weight, zero_point: 0 },
        weights: &data.weights,
        bias: &data.bias,
        multipliers: &data.multipliers,
        shifts: &data.shifts,
        rounding: Rounding::Once,
        output: Output { elem: ElemType::S8, zero_point: -5, lo: -128, hi: 127 },
    }
}

fn benchmarks(criterion: &mut Criterion) {
    let cpu = Cpu::detect();
    for (layer, form) in LAYERS.iter().flat_map(|layer| FORMS.map(|form| (layer, form))) {
        if layer.depthwise && form.1 != ElemType::S8 {
            continue;
        }
        let data = data(layer, form);
        let conv = convolution(layer, form, &data);
        let op = if layer.depthwise { KernelOp::Depthwise } else { KernelOp::Gemm };
        let mut expected = vec![0; conv.rows() * conv.out_channels];
        match op {
            KernelOp::Depthwise => reference::depthwise(&conv, &data.input, &mut expected),
            _ => reference::conv2d(&conv, &data.input, &mut expected),
        }
        let mut group = criterion.benchmark_group(format!("{}{}", layer.name, form.0));
        group.throughput(Throughput::Elements((conv.rows() * conv.out_channels * conv.depth()) as u64));
        for isa in IsaKind::ALL.into_iter().filter(|&isa| isa != IsaKind::Reference && cpu.has(isa)) {
            let Some(kernel) = (Choice { isa, cpu }).conv(op, &conv) else { continue };
            let row = kernel.kernel();
            if row.isa != isa {
                // It has none of its own, and this one was timed.
                continue;
            }
            let mut packed = vec![0; packed_len(row.layout, &conv)];
            assert!(pack(row.layout, &conv, &mut packed));
            let mut scratch = vec![0; (row.scratch)(&conv)];
            let mut output = vec![0; expected.len()];
            kernel.run(&conv, &packed, &data.input, 0..conv.rows(), &mut output, &mut scratch);
            assert!(output == expected, "{} differs from the reference", row.name);
            group.bench_function(row.name, |b| {
                b.iter(|| {
                    kernel.run(&conv, &packed, &data.input, 0..conv.rows(), &mut output, &mut scratch);
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, benchmarks);
criterion_main!(benches);
