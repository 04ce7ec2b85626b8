//! [`Model`]: the checked bytes of a file.

use alloc::sync::Arc;
use alloc::vec::Vec;

use dyadic_format::operator::OperatorRecord;
use dyadic_format::records::{ProvenanceRecord, RecipeRecord, TextRef};
use dyadic_format::section::SectionKind;
use dyadic_format::{AlignedBytes, ElemCode, ModelView, Storage};
use dyadic_kernels::ElemType;

use crate::error::LoadError;
use crate::lower::{elem, section_start};
use crate::name::Name;

/// A valid `.dyad` file in memory. Clones share it; it may be used from any thread.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes: Arc<Bytes>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

/// Who owns the bytes. They never change, so the view that `open` accepted can be made again at any time.
#[derive(Debug)]
pub(crate) enum Bytes {
    Owned(AlignedBytes),
    Borrowed(&'static [u8]),
    #[cfg(feature = "std")]
    Mapped(crate::mapping::Mapping),
}

impl Bytes {
    pub(crate) fn get(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Borrowed(bytes) => bytes,
            #[cfg(feature = "std")]
            Bytes::Mapped(map) => map.bytes(),
        }
    }
}

impl Model {
    /// Reads the file into private memory and checks it.
    ///
    /// # Errors
    /// [`LoadError::Io`], [`LoadError::Memory`] or [`LoadError::Format`].
    #[cfg(feature = "std")]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Model, LoadError> {
        use std::io::Read;

        let path = path.as_ref();
        let failed = |source| LoadError::Io { path: path.to_path_buf(), source };
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut bytes = aligned(length)?;
        file.read_exact(&mut bytes).map_err(failed)?;
        Model::checked(Bytes::Owned(bytes))
    }

    /// Maps the file and checks it, copying nothing.
    ///
    /// # Safety
    /// As long as the model, a clone of it or a session made of it lives, nobody, in this process or another, changes
    /// the file's bytes or shortens it. Bytes that change after the check may give wrong results or a panic; a
    /// shortened file ends the process at the next read. Replace a file by renaming another over it, never by
    /// writing into it.
    ///
    /// # Errors
    /// [`LoadError::Io`] or [`LoadError::Format`].
    #[cfg(feature = "std")]
    #[allow(unsafe_code)]
    pub unsafe fn map(path: impl AsRef<std::path::Path>) -> Result<Model, LoadError> {
        let path = path.as_ref();
        // SAFETY: the caller's promise is that of `Mapping::new`.
        let map = unsafe { crate::mapping::Mapping::new(path) };
        let map = map.map_err(|source| LoadError::Io { path: path.to_path_buf(), source })?;
        Model::checked(Bytes::Mapped(map))
    }

    /// Borrows bytes that lie in the program or are never freed; they must start on a 64-byte boundary.
    ///
    /// # Errors
    /// [`LoadError::Format`]; its [`Misaligned`](dyadic_format::Problem::Misaligned) says that
    /// [`Model::copy_of`] is needed.
    pub fn from_bytes(bytes: &'static [u8]) -> Result<Model, LoadError> {
        Model::checked(Bytes::Borrowed(bytes))
    }

    /// Copies the bytes into aligned memory.
    ///
    /// # Errors
    /// [`LoadError::Memory`] or [`LoadError::Format`].
    pub fn copy_of(bytes: &[u8]) -> Result<Model, LoadError> {
        let mut copy = aligned(bytes.len() as u64)?;
        copy.copy_from_slice(bytes);
        Model::checked(Bytes::Owned(copy))
    }

    fn checked(bytes: Bytes) -> Result<Model, LoadError> {
        let bytes = Arc::new(bytes);
        let view = ModelView::open(bytes.get())?;
        let infos =
            |numbers: &[u32]| numbers.iter().map(|&n| TensorInfo::new(&bytes, &view, n as usize)).collect();
        let (inputs, outputs) = (infos(view.inputs()), infos(view.outputs()));
        Ok(Model { inner: Arc::new(Inner { bytes, inputs, outputs }) })
    }

    /// Text of this file.
    pub(crate) fn name(&self, text: TextRef) -> Name {
        name(&self.inner.bytes, &self.view(), text)
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        self.inner.bytes.get()
    }

    /// The records of the file. Cheap: nothing is checked again.
    pub fn view(&self) -> ModelView<'_> {
        ModelView::reopen(self.bytes())
    }

    /// BLAKE3 digest of the file, as its header states it; [`ModelView::check_digest`] compares it.
    pub fn digest(&self) -> [u8; 32] {
        self.view().header().digest
    }

    /// Bytes of arena that a session allocates, scratch not counted.
    pub fn arena_bytes(&self) -> u64 {
        self.view().header().arena_bytes
    }

    /// Tensor of that number.
    pub fn tensor(&self, number: usize) -> Option<TensorInfo> {
        let view = self.view();
        (number < view.tensors().len()).then(|| TensorInfo::new(&self.inner.bytes, &view, number))
    }

    /// The model's inputs in order.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inner.inputs
    }

    /// The model's outputs in order.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.inner.outputs
    }

    /// Names of the output classes; none when the file has none.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        let view = self.view();
        (0..view.label_count()).map(move |i| view.label(i).unwrap_or(""))
    }

    /// How pixels become inputs.
    pub fn recipe(&self) -> &[RecipeRecord] {
        self.view().recipe()
    }

    /// The operators in execution order.
    pub fn operators(&self) -> &[OperatorRecord] {
        self.view().operators()
    }

    /// Where the file comes from, if it says.
    pub fn provenance(&self) -> Option<&ProvenanceRecord> {
        self.view().provenance()
    }
}

/// Zeroed memory for a file of `length` bytes.
fn aligned(length: u64) -> Result<AlignedBytes, LoadError> {
    let bytes = usize::try_from(length).ok().and_then(AlignedBytes::zeroed);
    bytes.ok_or(LoadError::Memory { bytes: length, limit: u64::MAX })
}

fn name(bytes: &Arc<Bytes>, view: &ModelView, text: TextRef) -> Name {
    let start = section_start(view, SectionKind::Strings) + text.offset as usize;
    Name::new(bytes, start..start + text.bytes as usize)
}

/// What a file says about a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Number in the file.
    pub number: usize,
    /// Name in the source network.
    pub name: Name,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Element type; indices are s32 without a scale.
    pub elem: ElemType,
    /// Scale of a tensor that has one in all, exactly `mantissa * 2^exponent`; `None` for indices and per-channel
    /// weights.
    pub scale: Option<(i32, i32)>,
    /// Value that stands for real zero.
    pub zero_point: i32,
    /// Smallest and largest value that the compiler proved.
    pub range: (i32, i32),
    /// Size in bytes; `usize::MAX` for one that no memory of this machine can hold.
    pub bytes: usize,
    /// Whether it is a constant rather than a place in the arena.
    pub constant: bool,
}

impl TensorInfo {
    fn new(bytes: &Arc<Bytes>, view: &ModelView, number: usize) -> TensorInfo {
        let record = &view.tensors()[number];
        let scale = match view.scales(record) {
            [one] => Some((one.mantissa, i32::from(one.exponent))),
            _ => None,
        };
        TensorInfo {
            number,
            name: name(bytes, view, record.name),
            shape: record.shape().iter().map(|&extent| extent as usize).collect(),
            elem: ElemCode::from_number(record.elem).map_or(ElemType::U8, elem),
            scale,
            zero_point: record.zero_point,
            range: (record.lo, record.hi),
            bytes: usize::try_from(record.bytes).unwrap_or(usize::MAX),
            constant: record.storage != Storage::Arena as u8,
        }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}
