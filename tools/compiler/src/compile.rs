//! The whole way: source bytes in, `.dyad` bytes out.

use std::path::Path;

use dyadic_format::{AlignedBytes, Contents, ModelView, write};

use crate::describe::describe;
use crate::emit::{EmitError, emit};
use crate::from_onnx::{self, ShapeError};
use crate::import::onnx::{self, OnnxError};
use crate::import::tflite::{self, TfliteError};
use crate::options::Options;
use crate::unsupported::{CutError, Import, SourceNode, Unsupported};
use crate::{from_tflite, memory_plan, pack, passes};

/// Why a network was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file is no valid `.tflite`.
    #[error(transparent)]
    Tflite(#[from] TfliteError),
    /// The file is no valid `.onnx`.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A network of real numbers.
    #[error("this model is not quantized; see `dyadic quantize`")]
    NotQuantized,
    /// A shape for an input that does not exist.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A tensor to cut at does not exist.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// Operators that have no integer form here.
    #[error("{} of {operators} operators are not supported:\n{}", .problems.len(), list(.problems))]
    Unsupported {
        /// All of them, in the order of the source.
        problems: Vec<Unsupported>,
        /// Operators of the source.
        operators: usize,
    },
    /// Scales or proofs that have no integer form.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Options that do not fit the network.
    #[error("{0}")]
    Options(String),
    /// The network makes no `.dyad` that would open.
    #[error("the compiled file is not valid, which is a fault of this program: {0}")]
    Invalid(dyadic_format::FormatError),
}

fn list(problems: &[Unsupported]) -> String {
    problems.iter().map(|p| format!("  {p}")).collect::<Vec<_>>().join("\n")
}

/// What compiling gives.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The contents of the file, for additions such as a self-test; [`write::write`] makes the bytes.
    pub contents: Contents,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Every node of the source and what it became.
    pub sources: Vec<SourceNode>,
}

impl Compiled {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        write::write(&self.contents)
    }
}

/// A network as it arrives: the bytes of a `.tflite` or `.onnx` file.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file.
    pub bytes: &'a [u8],
    /// Where it lies; an ONNX file may keep its weights in files beside it.
    pub folder: Option<&'a Path>,
}

impl<'a, B: AsRef<[u8]> + ?Sized> From<&'a B> for Source<'a> {
    fn from(bytes: &'a B) -> Source<'a> {
        Source { bytes: bytes.as_ref(), folder: None }
    }
}

impl Source<'_> {
    /// What a compiled file records as the digest of its source: BLAKE3 of the file, or of that digest and those of the
    /// files beside it in the order of their names.
    ///
    /// # Errors
    /// When the files beside an ONNX file cannot be read.
    pub fn digest(&self) -> Result<blake3::Hash, CompileError> {
        if is_tflite(self.bytes) {
            return Ok(blake3::hash(self.bytes));
        }
        let model = onnx::read(self.bytes, self.folder)?;
        Ok(digest_with_external(self.bytes, &model))
    }
}

/// Compiles a network.
///
/// # Errors
/// See [`CompileError`].
pub fn compile<'a>(source: impl Into<Source<'a>>, options: &Options) -> Result<Compiled, CompileError> {
    let source = source.into();
    let (import, digest) = if is_tflite(source.bytes) {
        (import_tflite(source.bytes, options)?, blake3::hash(source.bytes))
    } else {
        import_onnx(source, options)?
    };
    let mut graph = import.graph;
    passes::run(&mut graph, options.contract);
    if let Some(&output) = graph.outputs.iter().find(|&&o| graph.tensors[o].data.is_some()) {
        let name = &graph.tensors[output].name;
        return Err(CompileError::Options(format!("output '{name}' is a constant, which needs no network")));
    }
    let plan = memory_plan::plan(&graph);
    let mut contents = emit(&graph, &plan, options.contract)?;
    pack::pack(&mut contents, options);
    describe(&mut contents, &graph, (source.bytes.len(), digest), options)?;
    let compiled = Compiled { contents, notes: import.notes, sources: import.sources };
    open(&compiled.to_bytes())?;
    Ok(compiled)
}

/// A FlatBuffer names itself behind its first offset; everything else is taken for ONNX, which has no mark.
fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}

fn import_tflite(bytes: &[u8], options: &Options) -> Result<Import, CompileError> {
    if options.import != from_onnx::ImportOptions::default() {
        let text = "input shapes, batch, layout and a cut float tail are options for ONNX networks";
        return Err(CompileError::Options(text.to_string()));
    }
    let mut model = tflite::read(bytes)?;
    let operators = model.operators.len();
    from_tflite::cut(&mut model, &options.cut_at)?;
    from_tflite::lower(&model).map_err(|problems| CompileError::Unsupported { problems, operators })
}

fn import_onnx(source: Source, options: &Options) -> Result<(Import, blake3::Hash), CompileError> {
    let mut model = onnx::read(source.bytes, source.folder)?;
    let operators = model.nodes.len();
    if !from_onnx::is_quantized(&model) {
        return Err(CompileError::NotQuantized);
    }
    let digest = digest_with_external(source.bytes, &model);
    options.import.shapes.check(&model.inputs)?;
    from_onnx::cut(&mut model, &options.cut_at)?;
    let import = from_onnx::lower(model, &options.import)
        .map_err(|problems| CompileError::Unsupported { problems, operators })?;
    Ok((import, digest))
}

/// Digest of a file and, where it has some, of the files that it keeps its weights in.
fn digest_with_external(bytes: &[u8], model: &onnx::OnnxModel) -> blake3::Hash {
    let own = blake3::hash(bytes);
    if model.external.is_empty() {
        return own;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(own.as_bytes());
    for (_, digest) in &model.external {
        hasher.update(digest);
    }
    hasher.finalize()
}

/// What does not open must not be given out.
fn open(bytes: &[u8]) -> Result<(), CompileError> {
    let Some(bytes) = AlignedBytes::copy_of(bytes) else {
        return Err(CompileError::Options("there is not enough memory for the compiled file".to_string()));
    };
    ModelView::open(&bytes).map(|_| ()).map_err(CompileError::Invalid)
}
