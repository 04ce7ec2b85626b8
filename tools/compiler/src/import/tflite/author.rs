//! Writes small `.tflite` files, for tests and examples; LiteRT loads them too.
//!
//! ```
//! use dyadic_compiler::import::tflite::{ElemType, OpCode, Options, Quant, author::Author, read};
//!
//! let mut author = Author::new();
//! let x = author.activation("x", &[1, 4], ElemType::Int8, Some(Quant::per_tensor(0.5, 3)));
//! let y = author.activation("y", &[1, 4], ElemType::Int8, Some(Quant::per_tensor(0.5, 3)));
//! author.operator(OpCode::Relu, Options::None, [x], [y]);
//! let bytes = author.finish(&[x], &[y]);
//! assert_eq!(read(&bytes).unwrap().operators[0].code, OpCode::Relu);
//! ```

use std::sync::Arc;

use dyadic_tflite_schema as schema;

use super::elem::ElemType;
use super::encode::{self, to_i32};
use super::model::{Operator, Quant, QuantScheme, Tensor, TfliteModel};
use super::opcode::OpCode;
use super::options::Options;

/// Collects the tensors and operators of one file. It checks nothing: a test may want a file that is wrong.
#[derive(Debug, Clone)]
pub struct Author {
    /// What has been collected. Fields that no method sets (a variable tensor, an operator's version) are set here.
    pub model: TfliteModel,
}

impl Default for Author {
    fn default() -> Self {
        Self::new()
    }
}

impl Author {
    /// An empty file.
    pub fn new() -> Self {
        let model = TfliteModel {
            description: String::new(),
            version: 3,
            subgraph_count: 1,
            tensors: Vec::new(),
            operators: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        Self { model }
    }

    /// Adds a tensor without data (a graph input, or what an operator makes) and returns its number.
    pub fn activation(&mut self, name: &str, shape: &[i32], elem: ElemType, quant: Option<Quant>) -> usize {
        let index = self.model.tensors.len();
        self.model.tensors.push(Tensor {
            index,
            name: name.to_owned(),
            shape: shape.to_vec(),
            shape_signature: Vec::new(),
            has_rank: true,
            elem,
            quant,
            scheme: QuantScheme::Affine,
            data: None,
            is_variable: false,
            is_sparse: false,
        });
        index
    }

    /// Adds a constant of any type and returns its number; `data` is little-endian, 4-bit types two a byte with the
    /// first in the low nibble.
    pub fn constant(
        &mut self,
        name: &str,
        shape: &[i32],
        elem: ElemType,
        quant: Option<Quant>,
        data: impl Into<Vec<u8>>,
    ) -> usize {
        let index = self.activation(name, shape, elem, quant);
        self.model.tensors[index].data = Some(Arc::from(data.into()));
        index
    }

    /// Adds an INT8 constant.
    pub fn constant_i8(&mut self, name: &str, shape: &[i32], quant: Option<Quant>, values: &[i8]) -> usize {
        let data: Vec<u8> = values.iter().map(|value| value.cast_unsigned()).collect();
        self.constant(name, shape, ElemType::Int8, quant, data)
    }

    /// Adds an INT32 constant: a bias, axes, a shape.
    pub fn constant_i32(&mut self, name: &str, shape: &[i32], quant: Option<Quant>, values: &[i32]) -> usize {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, ElemType::Int32, quant, data)
    }

    /// Adds an operator, version 1, and returns its number. `None` among the inputs is one left out.
    pub fn operator<I: Into<Option<usize>>>(
        &mut self,
        code: OpCode,
        options: Options,
        inputs: impl IntoIterator<Item = I>,
        outputs: impl IntoIterator<Item = usize>,
    ) -> usize {
        let index = self.model.operators.len();
        self.model.operators.push(Operator {
            index,
            code,
            version: 1,
            inputs: inputs.into_iter().map(Into::into).collect(),
            outputs: outputs.into_iter().collect(),
            options,
        });
        index
    }

    /// The bytes of the file.
    pub fn finish(mut self, inputs: &[usize], outputs: &[usize]) -> Vec<u8> {
        self.model.inputs = inputs.to_vec();
        self.model.outputs = outputs.to_vec();
        write(&self.model)
    }

    /// The same in the form for files beyond 2 GB: constants lie behind the FlatBuffer, 16-byte aligned.
    pub fn finish_with_data_behind(mut self, inputs: &[usize], outputs: &[usize]) -> Vec<u8> {
        self.model.inputs = inputs.to_vec();
        self.model.outputs = outputs.to_vec();
        write_with_data_behind(&self.model)
    }
}

/// The bytes of a file that reads as `model`. Not written are the options of operators only known by name, what makes
/// a tensor sparse, and subgraphs after the first.
pub fn write(model: &TfliteModel) -> Vec<u8> {
    let inside = |data: &[u8]| schema::Buffer { data: Some(data.to_vec()), ..Default::default() };
    serialize(model, inside)
}

fn write_with_data_behind(model: &TfliteModel) -> Vec<u8> {
    // The length of the tables does not depend on the values of the offsets, so a first pass finds where data starts.
    let tables = |start: u64| {
        let mut next = start;
        let behind = |data: &[u8]| {
            let size = data.len() as u64;
            let buffer = schema::Buffer { data: None, offset: next, size };
            next += size.next_multiple_of(ALIGNMENT);
            buffer
        };
        serialize(model, behind)
    };
    let start = (tables(ALIGNMENT).len() as u64).next_multiple_of(ALIGNMENT);
    let mut bytes = tables(start);
    for data in model.tensors.iter().filter_map(|tensor| tensor.data.as_deref()) {
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        bytes.extend_from_slice(data);
    }
    bytes
}

const ALIGNMENT: u64 = 16;

fn serialize(model: &TfliteModel, mut buffer: impl FnMut(&[u8]) -> schema::Buffer) -> Vec<u8> {
    let mut buffers = vec![schema::Buffer::default()]; // number 0 means no data
    let mut tensors = Vec::with_capacity(model.tensors.len());
    for tensor in &model.tensors {
        let mut number = 0;
        if let Some(data) = &tensor.data {
            number = to_u32(buffers.len());
            buffers.push(buffer(data));
        }
        tensors.push(tensor_table(tensor, number));
    }
    let subgraph = schema::SubGraph {
        tensors: Some(tensors),
        inputs: Some(model.inputs.iter().map(|&tensor| to_i32(tensor)).collect()),
        outputs: Some(model.outputs.iter().map(|&tensor| to_i32(tensor)).collect()),
        operators: Some(model.operators.iter().map(operator_table).collect()),
        name: None,
    };
    let root = schema::Model {
        version: model.version,
        // One code for each operator: not compact, but every operator keeps its version.
        operator_codes: Some(model.operators.iter().map(operator_code_table).collect()),
        subgraphs: Some(vec![subgraph]),
        description: Some(model.description.clone()),
        buffers: Some(buffers),
    };
    schema::finish(planus::Builder::new(), root)
}

fn tensor_table(tensor: &Tensor, buffer: u32) -> schema::Tensor {
    let details_type = match tensor.scheme {
        QuantScheme::Affine => 0,
        QuantScheme::Custom => 1,
        QuantScheme::Blockwise => 2,
        QuantScheme::MultiAxis => 3,
        QuantScheme::Unknown(code) => code,
    };
    let affine = tensor.quant.as_ref().map(|quant| schema::QuantizationParameters {
        scale: Some(quant.scales.clone()),
        zero_point: Some(quant.zero_points.clone()),
        quantized_dimension: to_i32(quant.axis),
        ..Default::default()
    });
    let quantization = match (affine, details_type) {
        (None, 0) => None,
        (affine, details_type) => {
            Some(schema::QuantizationParameters { details_type, ..affine.unwrap_or_default() })
        }
    };
    schema::Tensor {
        shape: Some(tensor.shape.clone()),
        type_: tensor.elem.code(),
        buffer,
        name: Some(tensor.name.clone()),
        quantization: quantization.map(Box::new),
        is_variable: tensor.is_variable,
        sparsity: tensor.is_sparse.then(Default::default),
        shape_signature: (!tensor.shape_signature.is_empty()).then(|| tensor.shape_signature.clone()),
        has_rank: tensor.has_rank,
        external_buffer: 0,
    }
}

fn operator_code_table(operator: &Operator) -> schema::OperatorCode {
    let builtin_code = operator.code.builtin_code();
    let custom_code = match &operator.code {
        OpCode::Custom(name) => Some(name.clone()),
        _ => None,
    };
    // 127 in the old byte says that the code is in the new field.
    let deprecated_builtin_code = i8::try_from(builtin_code).unwrap_or(i8::MAX);
    schema::OperatorCode { deprecated_builtin_code, custom_code, version: operator.version, builtin_code }
}

fn operator_table(operator: &Operator) -> schema::Operator {
    let custom_options = match &operator.options {
        Options::Custom(bytes) => Some(bytes.clone()),
        _ => None,
    };
    schema::Operator {
        opcode_index: to_u32(operator.index),
        inputs: Some(operator.inputs.iter().map(|input| input.map_or(-1, to_i32)).collect()),
        outputs: Some(operator.outputs.iter().map(|&output| to_i32(output)).collect()),
        builtin_options: encode::options(&operator.code, &operator.options),
        custom_options,
        ..Default::default()
    }
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
