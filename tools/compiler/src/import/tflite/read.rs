//! From bytes to [`TfliteModel`]: the file as a whole, its tensors and its operator list.

use std::collections::HashMap;
use std::sync::Arc;

use dyadic_tflite_schema as schema;
use planus::{ReadAsRoot, Vector};

use super::elem::ElemType;
use super::error::{OperatorFault, Role, TensorFault, TfliteError};
use super::model::{Operator, Quant, QuantScheme, Tensor, TfliteModel};
use super::opcode::{CUSTOM, OpCode};
use super::{decode, graph};

type Result<T> = std::result::Result<T, TfliteError>;

/// Tensors of this many elements or more are refused: no index into one leaves the range of `i32`.
const MAX_ELEMENTS: u64 = 1 << 31;

/// Reads subgraph 0 of a `.tflite` file.
///
/// # Errors
///
/// A [`TfliteError`] names the first fault found, in the order: the file itself, tensors, operators, the order of
/// the graph.
pub fn read(bytes: &[u8]) -> Result<TfliteModel> {
    identify(bytes)?;
    let root = schema::ModelRef::read_as_root(bytes)?;
    let version = root.version()?;
    if version != 3 {
        return Err(TfliteError::SchemaVersion { found: version });
    }
    let subgraphs = root.subgraphs()?.unwrap_or_else(Vector::new_empty);
    let missing = TfliteError::Missing { table: "Model", field: "subgraphs" };
    let subgraph = subgraphs.first().ok_or(missing)??;

    let mut reader = Reader {
        bytes,
        buffers: root.buffers()?.unwrap_or_else(Vector::new_empty),
        allowance: Allowance::for_file(bytes.len()),
        shared: HashMap::new(),
    };
    let description = reader.text(root.description()?)?;
    let tensors = reader.tensors(subgraph.tensors()?.unwrap_or_else(Vector::new_empty))?;
    let codes = reader.operator_codes(root.operator_codes()?.unwrap_or_else(Vector::new_empty))?;
    let operators = subgraph.operators()?.unwrap_or_else(Vector::new_empty);
    let operators = reader.operators(operators, &codes, tensors.len())?;
    let inputs = reader.integers(subgraph.inputs()?)?;
    let outputs = reader.integers(subgraph.outputs()?)?;
    let mut model = TfliteModel {
        description,
        version,
        subgraph_count: subgraphs.len(),
        inputs: graph::tensor_list(Role::Input, &inputs, tensors.len())?,
        outputs: graph::tensor_list(Role::Output, &outputs, tensors.len())?,
        tensors,
        operators,
    };
    graph::check(&mut model)?;
    Ok(model)
}

/// Refuses what does not carry the file identifier, and says what it looks like instead.
fn identify(bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Err(TfliteError::Empty);
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Ok(());
    }
    let found = bytes.get(4..bytes.len().min(8)).unwrap_or_default();
    Err(TfliteError::NotTflite { looks_like: looks_like(bytes), found: found.escape_ascii().to_string() })
}

/// A guess at a foreign file's kind.
fn looks_like(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(256)];
    let lower = head.trim_ascii_start().to_ascii_lowercase();
    let starts = |prefix: &[u8]| lower.starts_with(prefix);
    if starts(b"<!doctype html") || starts(b"<html") {
        "an HTML page (a download that went wrong?)"
    } else if starts(b"version https://git-lfs") {
        "a Git LFS pointer (fetch the real file with `git lfs pull`)"
    } else if head.starts_with(b"PK\x03\x04") {
        "a ZIP archive (unpack it first)"
    } else if head.starts_with(b"\x1f\x8b") {
        "a gzip file (unpack it first)"
    } else if head.starts_with(b"\x89HDF") {
        "an HDF5 file, as Keras writes them (convert it to TFLite first)"
    } else if head.starts_with(b"\x93NUMPY") {
        "an .npy array"
    } else if matches!(head, [0x08, 1..=20, 0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42, ..]) {
        // Protobuf field 1 (ir_version, a small number), then another field of ModelProto.
        "an ONNX model"
    } else if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        "text"
    } else if bytes.len() < 8 {
        "a file cut off after a few bytes"
    } else {
        "some other binary file"
    }
}

/// Bounds what a file may unfold to. FlatBuffers tables may point to the same bytes any number of times, so the
/// owned copy of a small hostile file could fill the memory; what writers produce stays far below this.
struct Allowance {
    file: usize,
    limit: usize,
    left: usize,
}

impl Allowance {
    fn for_file(file: usize) -> Self {
        let limit = file.saturating_mul(16).saturating_add(4096);
        Self { file, limit, left: limit }
    }

    /// Asks for `count` owned values of `size` bytes.
    fn take(&mut self, count: usize, size: usize) -> Result<()> {
        let left = count.checked_mul(size).and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or(TfliteError::Unfolds { file: self.file, limit: self.limit })?;
        Ok(())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    buffers: Vector<'a, planus::Result<schema::BufferRef<'a>>>,
    allowance: Allowance,
    /// Constant data already copied, by its place in the file.
    shared: HashMap<(usize, usize), Arc<[u8]>>,
}

/// A tensor's number and name, to put before a fault.
struct TensorPlace<'a> {
    index: usize,
    name: &'a str,
}

impl TensorPlace<'_> {
    fn fault(&self, fault: TensorFault) -> TfliteError {
        TfliteError::Tensor { index: self.index, name: self.name.to_owned(), fault }
    }
}

/// An operator's number and kind, to put before a fault.
pub(super) struct OperatorPlace<'a> {
    pub index: usize,
    pub code: &'a OpCode,
}

impl OperatorPlace<'_> {
    pub fn fault(&self, fault: OperatorFault) -> TfliteError {
        TfliteError::Operator { index: self.index, op: self.code.to_string(), fault }
    }
}

impl<'a> Reader<'a> {
    fn text(&mut self, text: Option<&str>) -> Result<String> {
        let text = text.unwrap_or_default();
        self.allowance.take(text.len(), 1)?;
        Ok(text.to_owned())
    }

    fn integers(&mut self, values: Option<Vector<'a, i32>>) -> Result<Vec<i32>> {
        let values = values.unwrap_or_else(Vector::new_empty);
        self.allowance.take(values.len(), size_of::<i32>())?;
        Ok(values.iter().collect())
    }

    fn tensors(&mut self, tables: Vector<'a, planus::Result<schema::TensorRef<'a>>>) -> Result<Vec<Tensor>> {
        self.allowance.take(tables.len(), size_of::<Tensor>())?;
        tables.iter().enumerate().map(|(index, table)| self.tensor(index, &table?)).collect()
    }

    fn tensor(&mut self, index: usize, table: &schema::TensorRef<'a>) -> Result<Tensor> {
        let name = self.text(table.name()?)?;
        let place = TensorPlace { index, name: &name };
        let elem = ElemType::from_code(table.type_()?);
        let shape = self.integers(table.shape()?)?;
        let elements = count_elements(&shape).map_err(|fault| place.fault(fault))?;
        let is_sparse = table.sparsity()?.is_some();
        let is_variable = table.is_variable()?;
        let external = table.external_buffer()?;
        if external != 0 {
            return Err(place.fault(TensorFault::ExternalData { id: external }));
        }
        let data = self.data(&place, table.buffer()?)?;
        if let Some(data) = &data {
            let found = data.len() as u64;
            let expected = elem.byte_len(elements).filter(|_| !is_sparse).unwrap_or(found);
            if found != expected {
                return Err(place.fault(TensorFault::DataLength { found, expected, elem, shape }));
            }
            if is_variable {
                return Err(place.fault(TensorFault::VariableWithData));
            }
        }
        let (quant, scheme) = match table.quantization()? {
            Some(table) => self.quant(&place, &table, elem, &shape)?,
            None => (None, QuantScheme::Affine),
        };
        let shape_signature = self.integers(table.shape_signature()?)?;
        let has_rank = table.has_rank()?;
        Ok(Tensor {
            index,
            name,
            shape,
            shape_signature,
            has_rank,
            elem,
            quant,
            scheme,
            data,
            is_variable,
            is_sparse,
        })
    }

    /// The bytes of a buffer, or `None` if it is empty. A copy is made once and shared.
    fn data(&mut self, place: &TensorPlace<'_>, buffer: u32) -> Result<Option<Arc<[u8]>>> {
        let Some((start, bytes)) = self.locate(place, buffer)? else {
            return Ok(None);
        };
        if let Some(known) = self.shared.get(&(start, bytes.len())) {
            return Ok(Some(Arc::clone(known)));
        }
        self.allowance.take(bytes.len(), 1)?;
        let copy: Arc<[u8]> = Arc::from(bytes);
        self.shared.insert((start, bytes.len()), Arc::clone(&copy));
        Ok(Some(copy))
    }

    /// Where the bytes of a buffer start in the file, and the bytes; `None` if there are none. They lie in the
    /// table, or (large files) behind the FlatBuffer at an offset that counts from the file's first byte.
    fn locate(&self, place: &TensorPlace<'_>, buffer: u32) -> Result<Option<(usize, &'a [u8])>> {
        if buffer == 0 {
            return Ok(None); // by convention: no data
        }
        let count = self.buffers.len();
        let table = usize::try_from(buffer).ok().and_then(|at| self.buffers.get(at));
        let table = table.ok_or_else(|| place.fault(TensorFault::BufferIndex { buffer, count }))??;
        if let Some(data) = table.data()?
            && !data.is_empty()
        {
            return Ok(Some((data.as_ptr().addr() - self.bytes.as_ptr().addr(), data)));
        }
        let (offset, size) = (table.offset()?, table.size()?);
        if offset <= 1 || size == 0 {
            return Ok(None);
        }
        match slice_at(self.bytes, offset, size) {
            Some(found) => Ok(Some(found)),
            None => Err(place.fault(TensorFault::BufferRange { offset, size, file: self.bytes.len() })),
        }
    }

    fn quant(
        &mut self,
        place: &TensorPlace<'_>,
        table: &schema::QuantizationParametersRef<'a>,
        elem: ElemType,
        shape: &[i32],
    ) -> Result<(Option<Quant>, QuantScheme)> {
        let scheme = match table.details_type()? {
            0 => QuantScheme::Affine,
            1 => QuantScheme::Custom,
            2 => QuantScheme::Blockwise,
            3 => QuantScheme::MultiAxis,
            other => QuantScheme::Unknown(other),
        };
        let scales = table.scale()?.unwrap_or_else(Vector::new_empty);
        let zero_points = table.zero_point()?.unwrap_or_else(Vector::new_empty);
        let Some(range) = elem.integer_range() else {
            return Ok((None, scheme));
        };
        if scheme != QuantScheme::Affine || scales.is_empty() {
            return Ok((None, scheme));
        }
        self.allowance.take(scales.len(), size_of::<f32>())?;
        self.allowance.take(zero_points.len(), size_of::<i64>())?;
        let mut quant =
            Quant { scales: scales.iter().collect(), zero_points: zero_points.iter().collect(), axis: 0 };
        check_quant(&quant, elem, range).map_err(|fault| place.fault(fault))?;
        if quant.scales.len() > 1 {
            let axis = table.quantized_dimension()?;
            quant.axis = channel_axis(quant.scales.len(), axis, shape).map_err(|fault| place.fault(fault))?;
        }
        Ok((Some(quant), scheme))
    }

    fn operator_codes(
        &mut self,
        tables: Vector<'a, planus::Result<schema::OperatorCodeRef<'a>>>,
    ) -> Result<Vec<(OpCode, i32)>> {
        self.allowance.take(tables.len(), size_of::<(OpCode, i32)>())?;
        let mut codes = Vec::with_capacity(tables.len());
        for table in tables.iter() {
            let table = table?;
            // Codes below 127 used to live in a byte; old files fill only that, new ones both.
            let builtin = table.builtin_code()?.max(i32::from(table.deprecated_builtin_code()?));
            let code = match builtin {
                CUSTOM => OpCode::Custom(self.text(table.custom_code()?)?),
                builtin => OpCode::from_builtin(builtin),
            };
            codes.push((code, table.version()?));
        }
        Ok(codes)
    }

    fn operators(
        &mut self,
        tables: Vector<'a, planus::Result<schema::OperatorRef<'a>>>,
        codes: &[(OpCode, i32)],
        tensor_count: usize,
    ) -> Result<Vec<Operator>> {
        self.allowance.take(tables.len(), size_of::<Operator>())?;
        let mut operators = Vec::with_capacity(tables.len());
        for (index, table) in tables.iter().enumerate() {
            operators.push(self.operator(index, &table?, codes, tensor_count)?);
        }
        Ok(operators)
    }

    fn operator(
        &mut self,
        index: usize,
        table: &schema::OperatorRef<'a>,
        codes: &[(OpCode, i32)],
        tensor_count: usize,
    ) -> Result<Operator> {
        let number = table.opcode_index()?;
        let Some((code, version)) = usize::try_from(number).ok().and_then(|at| codes.get(at)) else {
            let fault = OperatorFault::CodeIndex { code: number, count: codes.len() };
            return Err(TfliteError::Operator { index, op: "of unknown kind".to_owned(), fault });
        };
        let place = OperatorPlace { index, code };
        if let OpCode::Custom(name) = code {
            self.allowance.take(name.len(), 1)?;
        }
        let inputs = self.integers(table.inputs()?)?;
        let outputs = self.integers(table.outputs()?)?;
        self.allowance.take(inputs.len() + outputs.len(), size_of::<Option<usize>>())?;
        let (inputs, outputs) = graph::operator_lists(&place, &inputs, &outputs, tensor_count)?;
        let options = decode::options(&place, table, self.bytes, inputs.len(), outputs.len())?;
        self.allowance.take(decode::owned_bytes(&options), 1)?;
        Ok(Operator { index, code: code.clone(), version: *version, inputs, outputs, options })
    }
}

/// `size` bytes from byte `offset` on, with the offset; `None` where they are not all there.
pub(super) fn slice_at(bytes: &[u8], offset: u64, size: u64) -> Option<(usize, &[u8])> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    Some((start, bytes.get(start..end)?))
}

/// The product of a shape, if every entry and the product are in range.
fn count_elements(shape: &[i32]) -> std::result::Result<u64, TensorFault> {
    let mut elements = 1u64;
    for (axis, &value) in shape.iter().enumerate() {
        let extent = u64::try_from(value).map_err(|_| TensorFault::NegativeAxis { axis, value })?;
        elements = elements
            .checked_mul(extent)
            .filter(|&product| product < MAX_ELEMENTS)
            .ok_or_else(|| TensorFault::TooLarge { shape: shape.to_vec() })?;
    }
    Ok(elements)
}

/// Checks that scales and zero points pair up and are in range.
fn check_quant(quant: &Quant, elem: ElemType, range: (i64, i64)) -> std::result::Result<(), TensorFault> {
    let (scales, zero_points) = (quant.scales.len(), quant.zero_points.len());
    if scales != zero_points {
        return Err(TensorFault::ScaleCount { scales, zero_points });
    }
    for (channel, (&scale, &zero_point)) in quant.scales.iter().zip(&quant.zero_points).enumerate() {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(TensorFault::Scale { channel, scale: scale.to_string() });
        }
        if zero_point < range.0 || zero_point > range.1 {
            return Err(TensorFault::ZeroPoint { channel, zero_point, elem });
        }
    }
    Ok(())
}

/// Checks the axis that several scales run along.
fn channel_axis(scales: usize, axis: i32, shape: &[i32]) -> std::result::Result<usize, TensorFault> {
    let place = usize::try_from(axis).ok().and_then(|at| Some((at, *shape.get(at)?)));
    let (at, extent) = place.ok_or(TensorFault::QuantizedAxis { scales, axis, rank: shape.len() })?;
    if usize::try_from(extent) != Ok(scales) {
        return Err(TensorFault::ChannelCount { scales, axis: at, extent });
    }
    Ok(at)
}
