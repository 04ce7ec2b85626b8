//! Small models, record by record.

use dyadic_format::records::TextRef;
use dyadic_format::tensor::MAX_RANK;
use dyadic_format::write::write;
use dyadic_format::{Contents, Params, Rule, Storage, TensorRecord};
use dyadic_kernels::ElemType;
use dyadic_runtime::{LoadError, Model};

/// A model in the making. Tensors lie one after another in the arena; nothing is shared unless asked for.
#[derive(Clone, Default)]
pub struct Builder {
    pub contents: Contents,
}

fn code(elem: ElemType) -> u8 {
    match elem {
        ElemType::U8 => 1,
        ElemType::S8 => 2,
        ElemType::U4 => 3,
        ElemType::S4 => 4,
        ElemType::S16 => 5,
        ElemType::S32 => 6,
    }
}

impl Builder {
    fn record(&mut self, elem: ElemType, shape: &[usize], zero_point: i32) -> TensorRecord {
        let mut dims = [1; MAX_RANK];
        dims.iter_mut().zip(shape).for_each(|(d, &e)| *d = e as u32);
        let count = shape.iter().product();
        TensorRecord {
            name: TextRef::default(),
            elem: code(elem),
            storage: Storage::Arena as u8,
            rank: shape.len() as u8,
            reserved: 0,
            zero_point,
            dims,
            offset: 0,
            bytes: elem.bytes(count).expect("a small tensor") as u64,
            scale_first: 0,
            scale_count: 0,
            lo: elem.min(),
            hi: elem.max(),
            codes: [0; 2],
            reserved2: [0; 2],
        }
    }

    fn push(&mut self, record: TensorRecord) -> u32 {
        self.contents.tensors.push(record);
        self.contents.tensors.len() as u32 - 1
    }

    /// A tensor of its own in the arena.
    pub fn tensor(&mut self, elem: ElemType, shape: &[usize], zero_point: i32) -> u32 {
        let offset = self.contents.arena_bytes;
        let record = TensorRecord { offset, ..self.record(elem, shape, zero_point) };
        self.contents.arena_bytes = (offset + record.bytes).next_multiple_of(64);
        self.push(record)
    }

    /// A tensor on bytes of the arena that another one has.
    pub fn tensor_at(&mut self, offset: u64, elem: ElemType, shape: &[usize], zero_point: i32) -> u32 {
        let record = TensorRecord { offset, ..self.record(elem, shape, zero_point) };
        self.push(record)
    }

    pub fn input(&mut self, elem: ElemType, shape: &[usize], zero_point: i32) -> u32 {
        let number = self.tensor(elem, shape, zero_point);
        self.contents.inputs.push(number);
        number
    }

    pub fn constant(&mut self, elem: ElemType, shape: &[usize], zero_point: i32, bytes: &[u8]) -> u32 {
        let offset = self.contents.weights(bytes);
        let storage = Storage::Constant as u8;
        let record = TensorRecord { offset, storage, ..self.record(elem, shape, zero_point) };
        self.push(record)
    }

    /// Constants of an operator; the number of the first.
    pub fn constants(&mut self, words: &[i32]) -> u32 {
        let first = self.contents.constants.len() as u32;
        self.contents.constants.extend(words);
        first
    }

    /// `extra` are the table numbers of a concatenation.
    pub fn operator(&mut self, rule: Rule, params: Params, inputs: &[u32], output: u32, extra: &[u32]) {
        self.contents.operator("", rule, params, inputs, output, extra);
    }

    pub fn output(&mut self, number: u32) {
        self.contents.outputs.push(number);
    }

    pub fn model(&self) -> Result<Model, LoadError> {
        Model::copy_of(&write(&self.contents))
    }
}
