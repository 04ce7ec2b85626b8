//! [`Model`]: a checked file, shared by any number of sessions.

use std::path::Path;
use std::sync::Arc;

use dyadic_format::{ElemCode, ModelView, TensorRecord};
use dyadic_kernels::ElemType;
use memmap2::Mmap;

use crate::bytes::AlignedBytes;
use crate::error::LoadError;
use crate::mapping;

/// A compiled network. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes: Bytes,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

#[derive(Debug)]
enum Bytes {
    Owned(AlignedBytes),
    Mapped(Mmap),
    Static(&'static [u8]),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes.as_slice(),
            Bytes::Mapped(map) => map,
            Bytes::Static(bytes) => bytes,
        }
    }
}

/// What a caller needs to know of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Number of the tensor in the file.
    pub number: usize,
    /// Name in the source network.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Element type. Index outputs are s32 without a scale.
    pub elem: ElemType,
    /// Scale as `mantissa * 2^exponent`.
    pub scale: Option<(i32, i32)>,
    /// Value that stands for real zero.
    pub zero_point: i32,
    /// Smallest and largest value it can take.
    pub range: (i32, i32),
    /// Size in bytes.
    pub bytes: usize,
}

impl Model {
    /// Reads a file into private memory.
    ///
    /// # Errors
    /// [`LoadError::Io`], [`LoadError::Memory`], [`LoadError::Format`].
    pub fn open(path: impl AsRef<Path>) -> Result<Model, LoadError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| LoadError::Io { path: path.into(), source })?;
        Model::copy_of(&bytes)
    }

    /// Maps a file; weights are used where they lie and shared between processes.
    ///
    /// # Safety
    /// While any clone of the model or session on it exists nobody may change or shorten the file. A file on a
    /// read-only partition, or one that is only ever replaced by renaming, satisfies this.
    ///
    /// # Errors
    /// [`LoadError::Io`], [`LoadError::Format`].
    #[allow(unsafe_code, reason = "forwards the contract of the map to the caller")]
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Model, LoadError> {
        let path = path.as_ref();
        // SAFETY: the caller keeps the contract of this function, which is that of `mapping::map`.
        let map =
            unsafe { mapping::map(path) }.map_err(|source| LoadError::Io { path: path.into(), source })?;
        Model::new(Bytes::Mapped(map))
    }

    /// Borrows bytes that live as long as the program, for example `include_bytes!` in a 64-byte aligned static.
    ///
    /// # Errors
    /// [`LoadError::Format`], among others when the bytes are not 64-byte aligned.
    pub fn from_bytes(bytes: &'static [u8]) -> Result<Model, LoadError> {
        Model::new(Bytes::Static(bytes))
    }

    /// Copies bytes of any alignment.
    ///
    /// # Errors
    /// [`LoadError::Memory`], [`LoadError::Format`].
    pub fn copy_of(bytes: &[u8]) -> Result<Model, LoadError> {
        Model::new(Bytes::Owned(AlignedBytes::copy_of(bytes)?))
    }

    fn new(bytes: Bytes) -> Result<Model, LoadError> {
        let view = ModelView::open(bytes.as_slice())?;
        let infos = |numbers: &[u32]| numbers.iter().map(|&n| tensor_info(&view, n as usize)).collect();
        let (inputs, outputs) = (infos(view.inputs()), infos(view.outputs()));
        Ok(Model { inner: Arc::new(Inner { bytes, inputs, outputs }) })
    }

    /// The records of the file.
    ///
    /// # Panics
    /// When the file was changed while it is mapped, against the contract of [`Model::map`].
    pub fn view(&self) -> ModelView<'_> {
        match ModelView::reopen(self.inner.bytes.as_slice()) {
            Ok(view) => view,
            Err(error) => panic!("the file was changed while it is mapped: {error}"),
        }
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inner.inputs
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.inner.outputs
    }

    /// Information on any tensor of the file.
    pub fn tensor(&self, number: usize) -> Option<TensorInfo> {
        let view = self.view();
        (number < view.tensors().len()).then(|| tensor_info(&view, number))
    }
}

/// Element type of a checked record.
pub(crate) fn elem_of(record: &TensorRecord) -> ElemType {
    match ElemCode::from_number(record.elem) {
        // `open` refuses every other number.
        Some(ElemCode::U8) | None => ElemType::U8,
        Some(ElemCode::S8) => ElemType::S8,
        Some(ElemCode::U4) => ElemType::U4,
        Some(ElemCode::S4) => ElemType::S4,
        Some(ElemCode::S16) => ElemType::S16,
        Some(ElemCode::S32) => ElemType::S32,
    }
}

fn tensor_info(view: &ModelView, number: usize) -> TensorInfo {
    let record = &view.tensors()[number];
    TensorInfo {
        number,
        name: view.text(record.name).to_string(),
        shape: record.shape().iter().map(|&e| e as usize).collect(),
        elem: elem_of(record),
        scale: view.scales(record).first().map(|s| (s.mantissa, i32::from(s.exponent))),
        zero_point: record.zero_point,
        range: (record.lo, record.hi),
        bytes: record.bytes as usize,
    }
}
