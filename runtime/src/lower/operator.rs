//! One operator under check: its tensors, and how its refusals are worded.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::ops::Range;

use dyadic_format::operator::OperatorRecord;
use dyadic_format::records::{PackedRecord, TextRef};
use dyadic_format::section::SectionKind;
use dyadic_format::{ModelView, OpKind, Params, Rule, Storage, TensorRecord};
use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Dims, Output};
use dyadic_kernels::registry::{Bound, KernelOp};
use dyadic_kernels::requant::{Dyadic, Rounding};

use super::{elem, elem_of, entries, overlap, rounding, section_start};
use crate::error::LoadError;
use crate::step::Source;

/// One operator of a checked file.
pub(super) struct Operator<'v> {
    pub(super) view: &'v ModelView<'v>,
    index: usize,
    record: &'v OperatorRecord,
    kind: OpKind,
    rule: Rule,
}

impl<'v> Operator<'v> {
    pub(super) fn new(view: &'v ModelView<'v>, index: usize) -> Result<Operator<'v>, LoadError> {
        let record = &view.operators()[index];
        let params = view.params(record);
        let rule = Rule::from_number(record.rule).unwrap_or(Rule::Move);
        let op = Operator { view, index, record, kind: params.kind(), rule };
        for tensor in (0..op.input_count()).map(|i| op.input(i)).chain([op.output()]) {
            op.require(
                tensor.bytes <= isize::MAX as u64,
                "tensor size",
                tensor.bytes,
                "an addressable size",
            )?;
        }
        Ok(op)
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn kind(&self) -> OpKind {
        self.kind
    }

    pub(super) fn rule(&self) -> Rule {
        self.rule
    }

    /// The source nodes it stands for.
    pub(super) fn text(&self) -> TextRef {
        self.record.name
    }

    pub(super) fn params(&self) -> Params {
        self.view.params(self.record)
    }

    pub(super) fn input_count(&self) -> usize {
        usize::from(self.record.inputs)
    }

    /// Tensor number of the weights of a convolution.
    pub(super) fn weight_number(&self) -> u32 {
        self.input_numbers()[1]
    }

    pub(super) fn input_numbers(&self) -> &'v [u32] {
        self.view.operator_inputs(self.record)
    }

    /// Packed weights, one record per layout.
    pub(super) fn packed(&self) -> &'v [PackedRecord] {
        self.view.packed_layouts(self.index)
    }

    /// Table numbers of a concatenation.
    pub(super) fn concat_tables(&self) -> &'v [u32] {
        self.view.concat_tables(self.record)
    }

    pub(super) fn input(&self, index: usize) -> &'v TensorRecord {
        &self.view.tensors()[self.input_numbers()[index] as usize]
    }

    pub(super) fn output_number(&self) -> usize {
        self.view.operator_outputs(self.record)[0] as usize
    }

    pub(super) fn output(&self) -> &'v TensorRecord {
        &self.view.tensors()[self.output_number()]
    }

    pub(super) fn elem(&self, tensor: &TensorRecord) -> ElemType {
        elem(elem_of(tensor))
    }

    /// Smallest and largest code of input `index`.
    pub(super) fn input_codes(&self, index: usize) -> (i32, i32) {
        let tensor = self.input(index);
        tensor.code_range(elem_of(tensor))
    }

    /// The extents; their product is below 2^31.
    pub(super) fn dims(&self, tensor: &TensorRecord) -> Vec<usize> {
        tensor.shape().iter().map(|&extent| extent as usize).collect()
    }

    /// The extents for kernels that take any rank.
    pub(super) fn shape(&self, tensor: &TensorRecord) -> Result<Dims, LoadError> {
        let dims = self.dims(tensor);
        Dims::new(&dims).ok_or_else(|| self.refusal("shape", &dims, "at most 8 axes, below 2^31 elements"))
    }

    pub(super) fn elements(&self, tensor: &TensorRecord) -> usize {
        self.dims(tensor).iter().product()
    }

    /// The extents of an NHWC tensor.
    pub(super) fn nhwc(&self, tensor: &TensorRecord, what: &'static str) -> Result<[usize; 4], LoadError> {
        let dims = self.dims(tensor);
        dims.as_slice().try_into().map_err(|_| self.refusal(what, &dims, "four axes"))
    }

    /// The arena bytes of a tensor that lies there.
    pub(super) fn arena(&self, tensor: &TensorRecord) -> Range<usize> {
        let start = tensor.offset as usize;
        start..start + tensor.bytes as usize
    }

    /// Bytes of a constant in the file.
    pub(super) fn constant(&self, tensor: &TensorRecord) -> Range<usize> {
        let start = section_start(self.view, SectionKind::Weights) + tensor.offset as usize;
        start..start + tensor.bytes as usize
    }

    /// Where an input lies; it must not touch the output.
    pub(super) fn source(&self, index: usize) -> Result<Source, LoadError> {
        let (tensor, output) = (self.input(index), self.arena(self.output()));
        match Storage::from_number(tensor.storage) {
            Some(Storage::Constant) => Ok(Source::File(self.constant(tensor))),
            Some(Storage::Arena) => {
                let range = self.arena(tensor);
                self.require(
                    !overlap(&range, &output),
                    "place of an input",
                    &range,
                    "apart from the output",
                )?;
                Ok(Source::Arena(range))
            }
            Some(Storage::PackedOnly) | None => {
                Err(self.refusal("storage of an input", tensor.storage, "arena or constant"))
            }
        }
    }

    /// Where an input lies that may be the output itself.
    pub(super) fn source_in_place(&self, index: usize) -> Result<Source, LoadError> {
        let (tensor, output) = (self.input(index), self.arena(self.output()));
        let same_width = self.elem(tensor).bits() == self.elem(self.output()).bits();
        if tensor.storage == Storage::Arena as u8 && self.arena(tensor) == output && same_width {
            return Ok(Source::InPlace);
        }
        self.source(index)
    }

    /// `count` constants from `first` on, as bytes of the file. The file was checked to hold them.
    pub(super) fn constants(&self, first: u32, count: usize) -> Range<usize> {
        entries(self.view, SectionKind::Constants, first, count)
    }

    /// A table as bytes of the file.
    pub(super) fn table(&self, number: u32) -> Range<usize> {
        self.tables(number, 1)
    }

    /// `count` tables from `first` on.
    pub(super) fn tables(&self, first: u32, count: usize) -> Range<usize> {
        entries(self.view, SectionKind::Tables, first, count)
    }

    /// The rounding of the operator's rule.
    pub(super) fn rounding(&self) -> Result<Rounding, LoadError> {
        rounding(self.rule)
            .ok_or_else(|| self.refusal("rule", format_args!("{}", self.rule.name()), "a rule that rescales"))
    }

    /// A valid dyadic factor.
    pub(super) fn dyadic(&self, multiplier: i32, shift: i32) -> Result<Dyadic, LoadError> {
        let found = format_args!("{multiplier} / 2^{shift}");
        Dyadic::new(multiplier, shift)
            .ok_or_else(|| self.refusal("factor", found, "multiplier 0 or 2^30 to 2^31 - 1, shift 16 to 62"))
    }

    /// The end of the operation; the file was checked to clamp inside the output's type.
    pub(super) fn end(&self, lo: i32, hi: i32) -> Output {
        let output = self.output();
        Output { elem: self.elem(output), zero_point: output.zero_point, lo, hi }
    }

    /// Requires a tensor to be of one of the types.
    pub(super) fn require_elem(
        &self,
        tensor: &TensorRecord,
        what: &'static str,
        allowed: &[ElemType],
    ) -> Result<(), LoadError> {
        let found = self.elem(tensor);
        if allowed.contains(&found) {
            return Ok(());
        }
        let names: Vec<&str> = allowed.iter().map(|e| e.name()).collect();
        Err(self.refusal(what, format_args!("{}", found.name()), names.join(", ")))
    }

    /// Requires two tensors to give the same codes the same meaning, as far as integers see it.
    pub(super) fn require_same_codes(&self, index: usize) -> Result<(), LoadError> {
        let (input, output) = (self.input(index), self.output());
        let (found, expected) = (self.elem(output), self.elem(input));
        self.require(found == expected, "output type", format_args!("{}", found.name()), expected.name())?;
        let (found, expected) = (output.zero_point, input.zero_point);
        self.require(found == expected, "output zero point", found, expected)
    }

    /// The kernel that was chosen. There is one for all parameters that pass the checks before.
    pub(super) fn chosen<F>(&self, kernel: Option<Bound<F>>, what: KernelOp) -> Result<Bound<F>, LoadError> {
        kernel.ok_or_else(|| self.refusal("kernel", what, "one that takes these parameters"))
    }

    pub(super) fn require(
        &self,
        ok: bool,
        what: &'static str,
        found: impl Debug,
        expected: impl ToString,
    ) -> Result<(), LoadError> {
        if ok { Ok(()) } else { Err(self.refusal(what, found, expected)) }
    }

    pub(super) fn refusal(
        &self,
        what: &'static str,
        found: impl Debug,
        expected: impl ToString,
    ) -> LoadError {
        LoadError::Operator {
            index: self.index,
            kind: self.kind.name(),
            name: self.view.text(self.record.name).to_string(),
            what,
            found: alloc::format!("{found:?}"),
            expected: expected.to_string(),
        }
    }
}

/// 8-bit types.
pub(super) const BYTES: [ElemType; 2] = [ElemType::U8, ElemType::S8];
/// Types that matrix products and products of activations take: 8 bits or fewer.
pub(super) const NARROW: [ElemType; 4] = [ElemType::U8, ElemType::S8, ElemType::U4, ElemType::S4];
/// Types of activations: 16 bits or fewer.
pub(super) const ACTIVATIONS: [ElemType; 5] =
    [ElemType::U8, ElemType::S8, ElemType::U4, ElemType::S4, ElemType::S16];
