//! Matrix products with constant weights.

use super::attributes::Attributes;
use super::constant::{self, Quantized};
use super::reals::{Bias, Quant, RealConv, RealId, RealOp, Window};
use super::{Form, Value, Walk, movement, shapes};
use crate::import::onnx::Node;
use crate::ir::ConvKind;
use crate::unsupported::{Lowered, refuse, refuse_with};

/// Most products that one node becomes, one for every pair of matrices.
const MAX_PRODUCTS: usize = 256;

/// A product after NumPy's rules for vectors and stacks of matrices.
struct Stacks {
    /// Extents before the matrices, of the first factor, of the weights, of the result.
    lead: [Vec<usize>; 3],
    /// Rows, depth and columns of every matrix.
    matrix: [usize; 3],
    /// Shape of the result.
    result: Vec<usize>,
}

impl<'m> Walk<'m> {
    pub(super) fn gemm(&mut self, node: &'m Node) -> Lowered {
        let mut x = self.real(node, 0)?;
        let mut weights = self.weights(node, 1)?;
        let (&[rows, depth], 2) = (self.reals.tensors[x].shape.as_slice(), weights.shape.len()) else {
            return refuse("a product of tensors that are no matrices");
        };
        if node.int("transA", 0)? != 0 {
            let turned = self.reals.alike(Self::name(node, 0), vec![depth, rows], x);
            self.reals.node(node.index, RealOp::Transpose { order: vec![1, 0] }, vec![x], turned);
            x = turned;
        }
        if node.int("transB", 0)? == 0 {
            weights = weights.transposed(&[1, 0]);
        }
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let channels = weights.shape[0];
        let (mut bias, mut offset) = (Bias::None, vec![0.0; channels]);
        if alpha == 1.0 && beta == 1.0 && self.is_row(node, 2, channels) {
            bias = self.bias(node, 2, channels)?;
        } else if let Some(addend) = self.addend(node, 2, channels)? {
            offset = addend.iter().map(|v| v * f64::from(beta)).collect();
        }
        self.product(node, x, (weights, 1), bias, (vec![f64::from(alpha); channels], offset), None)
    }

    /// Whether input `i` has one value per channel.
    fn is_row(&self, node: &Node, i: usize, channels: usize) -> bool {
        match self.given(node, i) {
            Some(Value::Constant(t)) => t.elements() == channels,
            Some(Value::Quantized(q)) => q.codes.len() == channels,
            _ => false,
        }
    }

    /// A constant that is added to every row, one value or one per channel.
    fn addend(&self, node: &Node, i: usize, channels: usize) -> Lowered<Option<Vec<f64>>> {
        let values = match self.given(node, i) {
            None => return Ok(None),
            Some(Value::Constant(tensor)) => constant::reals(tensor)?,
            Some(Value::Quantized(constant)) => constant.reals(),
            Some(_) => return refuse("an addend that is computed at run time"),
        };
        match values.len() {
            1 => Ok(Some(vec![values[0]; channels])),
            n if n == channels => Ok(Some(values)),
            n => refuse(format!("{n} values are added to {channels} channels")),
        }
    }

    /// Rows of `x` times constant weights `[out, in]`.
    pub(super) fn product(
        &mut self,
        node: &'m Node,
        x: RealId,
        (weights, place): (Quantized, usize),
        bias: Bias,
        affine: (Vec<f64>, Vec<f64>),
        quant: Option<Quant>,
    ) -> Lowered {
        let mut shape = self.reals.tensors[x].shape.clone();
        let (out, depth) = (weights.shape[0], weights.shape[1]);
        match shape.last_mut() {
            Some(last) if *last == depth && out > 0 => *last = out,
            _ => return refuse(format!("rows of {shape:?} times weights of {depth} by {out}")),
        }
        let conv = matrix(weights, node.inputs[place].clone(), bias, affine);
        self.made(node, shape, RealOp::Conv(Box::new(conv)), vec![x], quant)
    }

    pub(super) fn matmul(&mut self, node: &'m Node) -> Lowered {
        let x = self.real(node, 0)?;
        let weights = self.weights(node, 1)?;
        self.matrices(node, x, (weights, 1), None)
    }

    /// `x` times constant weights of any rank.
    pub(super) fn matrices(
        &mut self,
        node: &'m Node,
        x: RealId,
        (mut weights, place): (Quantized, usize),
        quant: Option<Quant>,
    ) -> Lowered {
        let from = self.reals.tensors[x].shape.clone();
        let stacks = stacks(&from, &mut weights)?;
        let [rows, depth, columns] = stacks.matrix;
        let form = if quant.is_some() { Form::Codes } else { Form::Real };
        let name = Self::name(node, 0);
        if stacks.lead[1].iter().product::<usize>() > 1 {
            let made = self.stack(node, x, (&weights, place), &stacks, quant)?;
            return self.alike(node, form, made, stacks.result, RealOp::Reshape);
        }
        let one = Quantized { shape: vec![depth, columns], axis: 1, ..weights }.transposed(&[1, 0]);
        let affine = (vec![1.0; columns], vec![0.0; columns]);
        let mut wide = from.clone();
        if let Some(last) = wide.last_mut() {
            *last = columns;
        }
        if wide == stacks.result {
            return self.product(node, x, (one, place), Bias::None, affine, quant);
        }
        let all = stacks.lead[0].iter().product::<usize>() * rows;
        let lines = self.reals.alike(name, vec![all, depth], x);
        self.reals.node(node.index, RealOp::Reshape, vec![x], lines);
        let conv = matrix(one, node.inputs[place].clone(), Bias::None, affine);
        let made = self.reals.tensor(name, vec![all, columns], quant);
        self.reals.node(node.index, RealOp::Conv(Box::new(conv)), vec![lines], made);
        self.alike(node, form, made, stacks.result, RealOp::Reshape)
    }

    /// One product for every matrix of the result, stacked.
    fn stack(
        &mut self,
        node: &'m Node,
        x: RealId,
        (weights, place): (&Quantized, usize),
        stacks: &Stacks,
        quant: Option<Quant>,
    ) -> Lowered<RealId> {
        let ([own, theirs, lead], [rows, depth, columns]) = (&stacks.lead, stacks.matrix);
        let count = lead.iter().try_fold(1usize, |n, &e| n.checked_mul(e)).filter(|&n| n <= MAX_PRODUCTS);
        let Some(count) = count else {
            return refuse(format!("a stack of {lead:?} products, expected at most {MAX_PRODUCTS}"));
        };
        let name = Self::name(node, 0);
        let stacked = own.iter().product();
        let flat = self.reals.alike(name, vec![stacked, rows, depth], x);
        self.reals.node(node.index, RealOp::Reshape, vec![x], flat);
        self.reals.share(flat);
        let strides = [own, theirs].map(|s| movement::broadcast_strides(s, lead));
        let mut parts = Vec::new();
        for i in 0..count {
            let [first, second] = [0, 1].map(|f| movement::place(i, lead, &strides[f]));
            let left = self.reals.alike(name, vec![1, rows, depth], flat);
            let slice = RealOp::Slice { start: vec![first, 0, 0], step: vec![1; 3] };
            self.reals.node(node.index, slice, vec![flat], left);
            let codes = weights.codes[second * depth * columns..][..depth * columns].to_vec();
            let one = Quantized { shape: vec![depth, columns], axis: 1, codes, ..weights.clone() };
            let affine = (vec![1.0; columns], vec![0.0; columns]);
            let conv = matrix(one.transposed(&[1, 0]), node.inputs[place].clone(), Bias::None, affine);
            let part = self.reals.tensor(name, vec![1, rows, columns], quant);
            self.reals.node(node.index, RealOp::Conv(Box::new(conv)), vec![left], part);
            parts.push(part);
        }
        let output = self.reals.tensor(name, vec![count, rows, columns], quant);
        self.reals.node(node.index, RealOp::Concat { axis: 0 }, parts, output);
        Ok(output)
    }
}

/// Shapes of `x` times weights, which become a stack of matrices.
fn stacks(x: &[usize], weights: &mut Quantized) -> Lowered<Stacks> {
    let wrong = format!("{x:?} times weights of shape {:?}", weights.shape);
    let (row, column) = (x.len() == 1, weights.shape.len() == 1);
    if weights.scales.len() > 1 && (column || weights.axis + 1 != weights.shape.len()) {
        return refuse_with(
            format!("weights with one scale per element of axis {}", weights.axis),
            "quantize weights with one scale per tensor or per output channel",
        );
    }
    if column {
        weights.shape.push(1);
    }
    let left = if row { vec![1, x[0]] } else { x.to_vec() };
    let (Some((own, &[rows, depth])), Some((theirs, &[inner, columns]))) =
        (left.split_last_chunk::<2>(), weights.shape.split_last_chunk::<2>())
    else {
        return refuse(wrong);
    };
    if depth != inner || weights.codes.is_empty() {
        return refuse(wrong);
    }
    let lead = shapes::broadcast(own, theirs)?;
    let mut result = lead.clone();
    result.extend((!row).then_some(rows));
    result.extend((!column).then_some(columns));
    Ok(Stacks { lead: [own.to_vec(), theirs.to_vec(), lead], matrix: [rows, depth, columns], result })
}

/// A fully connected layer with weights `[out, in]`.
fn matrix(
    weights: Quantized,
    weights_name: String,
    bias: Bias,
    (gain, offset): (Vec<f64>, Vec<f64>),
) -> RealConv {
    let window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
    RealConv {
        kind: ConvKind::FullyConnected,
        weights,
        weights_name,
        window,
        groups: 1,
        bias,
        gain,
        offset,
        bias_down: false,
    }
}
