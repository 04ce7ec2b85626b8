//! The whole way: source bytes in, `.dyad` bytes out.

use dyadic_format::records::{ChannelOrder, ProvenanceRecord, RecipeRecord};
use dyadic_format::{AlignedBytes, Contents, ModelView, write};
use dyadic_kernels::isa::IsaKind;

use crate::emit::{EmitError, emit};
use crate::from_tflite;
use crate::import::tflite::{self, TfliteError};
use crate::ir::{Graph, Tensor};
use crate::memory_plan;
use crate::pack;
use crate::passes;
use crate::quantize::Contract;
use crate::unsupported::{CutError, Unsupported};

/// What shapes a file. Equal options, source and tool version give equal bytes on every host.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Rounding rules.
    pub contract: Contract,
    /// Instruction sets whose weight layouts are stored.
    pub targets: Vec<IsaKind>,
    /// Tensors to make the outputs; empty keeps the network's own.
    pub cut_at: Vec<String>,
    /// Leave out logical weights where packed ones are stored.
    pub board: bool,
    /// From pixels to the first input.
    pub recipe: Option<Recipe>,
    /// One label per output class.
    pub labels: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            contract: Contract::Dyadic,
            targets: vec![IsaKind::Avx2],
            cut_at: Vec::new(),
            board: false,
            recipe: None,
            labels: Vec::new(),
        }
    }
}

/// How pixels of 0 to 255 become real input values: `(pixel - mean[c]) / std[c]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Channel order.
    pub order: Order,
    /// One per channel, or one for all.
    pub mean: Vec<f64>,
    /// One per channel, or one for all; not zero.
    pub std: Vec<f64>,
}

/// Channel order of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
    /// Luma.
    Gray,
}

/// Why a network was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file is no valid `.tflite`.
    #[error(transparent)]
    Tflite(#[from] TfliteError),
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
}

impl Compiled {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        write::write(&self.contents)
    }
}

/// Compiles a `.tflite` network.
///
/// # Errors
/// See [`CompileError`].
pub fn compile(source: &[u8], options: &Options) -> Result<Compiled, CompileError> {
    let mut model = tflite::read(source)?;
    let operators = model.operators.len();
    from_tflite::cut(&mut model, &options.cut_at)?;
    let import =
        from_tflite::lower(&model).map_err(|problems| CompileError::Unsupported { problems, operators })?;
    let mut graph = import.graph;
    passes::run(&mut graph, options.contract);
    if let Some(&output) = graph.outputs.iter().find(|&&o| graph.tensors[o].data.is_some()) {
        let name = &graph.tensors[output].name;
        return Err(CompileError::Options(format!("output '{name}' is a constant, which needs no network")));
    }
    let plan = memory_plan::plan(&graph);
    let mut contents = emit(&graph, &plan, options.contract)?;
    pack::pack(&mut contents, options);
    describe(&mut contents, &graph, source, options)?;
    let compiled = Compiled { contents, notes: import.notes };
    open(&compiled.to_bytes())?;
    Ok(compiled)
}

/// What does not open must not be given out.
fn open(bytes: &[u8]) -> Result<(), CompileError> {
    let Some(bytes) = AlignedBytes::copy_of(bytes) else {
        return Err(CompileError::Options("there is not enough memory for the compiled file".to_string()));
    };
    ModelView::open(&bytes).map(|_| ()).map_err(CompileError::Invalid)
}

/// Labels, recipe and provenance.
fn describe(
    contents: &mut Contents,
    graph: &Graph,
    source: &[u8],
    options: &Options,
) -> Result<(), CompileError> {
    check_labels(graph, &options.labels)?;
    for label in &options.labels {
        let text = contents.text(label);
        contents.labels.push(text);
    }
    if let Some(recipe) = &options.recipe {
        store_recipe(contents, graph, recipe)?;
    }
    let tool = contents.text(concat!("dyadic ", env!("CARGO_PKG_VERSION")));
    let options = contents.text(&canonical(options));
    let description = contents.text(crate::emit::shortened(&graph.description));
    contents.provenance = Some(ProvenanceRecord {
        source_digest: *blake3::hash(source).as_bytes(),
        source_bytes: source.len() as u64,
        tool,
        options,
        description,
    });
    Ok(())
}

/// One label per value of an output's last extent, unless an output is the class itself, as ARG_MAX makes it.
fn check_labels(graph: &Graph, labels: &[String]) -> Result<(), CompileError> {
    let outputs: Vec<&Tensor> = graph.outputs.iter().map(|&o| &graph.tensors[o]).collect();
    let fits = |output: &&Tensor| output.scales.is_empty() || output.shape.last() == Some(&labels.len());
    if labels.is_empty() || outputs.iter().any(fits) {
        return Ok(());
    }
    let classes = |output: &&Tensor| {
        format!("{} of output '{}'", output.shape.last().copied().unwrap_or(1), output.name)
    };
    let classes: Vec<String> = outputs.iter().map(classes).collect();
    Err(CompileError::Options(format!("{} labels for classes: {}", labels.len(), classes.join(", "))))
}

/// The channels of the recipe must be those of the input, channels last as pictures are, or first.
fn check_channels(input: &Tensor, channels: usize) -> Result<(), CompileError> {
    let found = match input.shape[..] {
        // Told apart as by the command that reads the pictures: a first extent of 1 or 3 is that of the channels.
        [_, c @ (1 | 3), _, w] if w != 1 && w != 3 => c,
        [_, _, _, c] => c,
        _ => {
            let shape = &input.shape;
            return Err(CompileError::Options(format!(
                "a recipe needs an input of four extents, '{}' has the shape {shape:?}",
                input.name
            )));
        }
    };
    if found == channels {
        return Ok(());
    }
    let remedy = if channels == 1 { "use --rgb or --bgr" } else { "use --gray" };
    let remedy = if found == 1 || found == 3 { remedy } else { "a recipe takes 1 or 3" };
    Err(CompileError::Options(format!(
        "the recipe makes {channels} channels, input '{}' takes {found}; {remedy}",
        input.name
    )))
}

/// One table per channel from a pixel to the input's code.
fn store_recipe(contents: &mut Contents, graph: &Graph, recipe: &Recipe) -> Result<(), CompileError> {
    let channels = if recipe.order == Order::Gray { 1 } else { 3 };
    let input = graph.inputs.first().map(|&i| &graph.tensors[i]);
    let Some(input) = input.filter(|t| t.elem.bits() == 8) else {
        return Err(CompileError::Options("a recipe needs an 8-bit input".to_string()));
    };
    let per_channel = |values: &[f64], what: &str| match values.len() {
        1 => Ok(vec![values[0]; channels]),
        n if n == channels => Ok(values.to_vec()),
        n => Err(CompileError::Options(format!("{what} has {n} values, expected 1 or {channels}"))),
    };
    let (mean, std) = (per_channel(&recipe.mean, "--mean")?, per_channel(&recipe.std, "--std")?);
    if let Some(value) = mean.iter().find(|m| !m.is_finite()) {
        return Err(CompileError::Options(format!("--mean holds {value}, expected finite numbers")));
    }
    if let Some(value) = std.iter().find(|s| **s == 0.0 || !s.is_finite()) {
        return Err(CompileError::Options(format!(
            "--std holds {value}, expected finite numbers other than 0"
        )));
    }
    check_channels(input, channels)?;
    let tables_first = contents.tables.len() as u32;
    for c in 0..channels {
        let mut table = [0; 256];
        for (pixel, entry) in table.iter_mut().enumerate() {
            let real = (pixel as f64 - mean[c]) / std[c];
            let code = libm::floor(real / f64::from(input.scale()) + 0.5) + f64::from(input.zero_point);
            *entry = code.clamp(input.elem.min().into(), input.elem.max().into()) as i32 as u8;
        }
        contents.tables.push(table);
    }
    let order = match recipe.order {
        Order::Rgb => ChannelOrder::Rgb,
        Order::Bgr => ChannelOrder::Bgr,
        Order::Gray => ChannelOrder::Gray,
    };
    let channels = channels as u32;
    contents.recipe.push(RecipeRecord { input: 0, order: order as u32, tables_first, channels });
    Ok(())
}

/// Names of a source network may hold the separator of [`canonical`].
fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace(';', "%3B")
}

/// The inverse of [`escaped`].
fn unescaped(text: &str) -> String {
    text.replace("%3B", ";").replace("%25", "%")
}

/// The options in a fixed order; `verify` reads them back to compile the source again.
fn canonical(options: &Options) -> String {
    let mut text = format!("rounding={}", options.contract.name());
    for target in &options.targets {
        text += &format!(";target={}", target.name());
    }
    for tensor in &options.cut_at {
        text += &format!(";cut-at={}", escaped(tensor));
    }
    if options.board {
        text += ";board";
    }
    if let Some(recipe) = &options.recipe {
        // The shortest form that reads back as the same number.
        let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        text += &format!(";recipe={}/{}/{}", recipe.order.name(), list(&recipe.mean), list(&recipe.std));
    }
    text
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Order::Rgb => "rgb",
            Order::Bgr => "bgr",
            Order::Gray => "gray",
        }
    }
}

fn recipe_of(text: &str) -> Option<Recipe> {
    let mut parts = text.split('/');
    let name = parts.next()?;
    let order = [Order::Rgb, Order::Bgr, Order::Gray].into_iter().find(|o| o.name() == name)?;
    let mut list = || parts.next()?.split(',').map(|v| v.parse().ok()).collect::<Option<Vec<f64>>>();
    let recipe = Recipe { order, mean: list()?, std: list()? };
    parts.next().is_none().then_some(recipe)
}

/// The contract that a file's provenance names.
pub fn contract_of(options: &str) -> Option<Contract> {
    options.split(';').find_map(|o| o.strip_prefix("rounding=")).and_then(Contract::from_name)
}

/// The options that a file was compiled with, except the labels, which are stored as data. `None` for a part that this
/// version does not know: what it asks for could not be made again.
pub fn options_of(text: &str) -> Option<Options> {
    let mut options = Options { contract: contract_of(text)?, targets: Vec::new(), ..Options::default() };
    for part in text.split(';') {
        match part.split_once('=') {
            Some(("target", name)) => options.targets.push(IsaKind::from_name(name)?),
            Some(("rounding", _)) => {}
            Some(("cut-at", name)) => options.cut_at.push(unescaped(name)),
            Some(("recipe", text)) => options.recipe = Some(recipe_of(text)?),
            None if part == "board" => options.board = true,
            _ => return None,
        }
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_options_read_back_as_they_were() {
        let names = ["a;b", "100%", "%3B", "x;board;y=1", "%253B", ";", "plain/name"];
        let options = Options {
            contract: Contract::Tflite,
            targets: vec![IsaKind::Portable, IsaKind::Avx2],
            cut_at: names.map(str::to_string).to_vec(),
            board: true,
            recipe: Some(Recipe { order: Order::Bgr, mean: vec![0.1, -2.5, 3e-9], std: vec![255.0] }),
            labels: Vec::new(),
        };
        assert_eq!(options_of(&canonical(&options)), Some(options));
    }

    #[test]
    fn options_without_separators_keep_their_text() {
        let options = Options { cut_at: vec!["a/b:c d".to_string()], ..Options::default() };
        assert_eq!(canonical(&options), "rounding=dyadic;target=avx2;cut-at=a/b:c d");
    }

    #[test]
    fn unknown_parts_are_refused() {
        for part in ["future", "future=1", "board=1", "target=mmx", "recipe=rgb/0", "recipe=rgb/0/1/2", ""] {
            assert_eq!(options_of(&format!("rounding=dyadic;{part}")), None, "{part}");
        }
        assert_eq!(options_of("target=avx2"), None);
    }
}
