//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use dyadic_kernels::isa::IsaKind;

use crate::error::Result;

/// Runs quantized networks with integers only, byte for byte the same on every CPU.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Classify the built-in sample picture with the built-in sample network, timing every layer
    Demo(Demo),
    /// Compile a quantized .tflite or .onnx network to one .dyad file
    Compile(Compile),
    /// Run a compiled network on .npy tensors or pictures
    Run(Run),
    /// Measure the accuracy of a classifier on labelled pictures
    Eval(Eval),
    /// Show layers, types, rules, kernels, memory plan, sections and certificates
    Inspect(Inspect),
    /// Prove that a file holds what it says and that this machine computes what the reference computes
    Verify(Verify),
    /// Time every layer
    Profile(Profile),
    /// List the kernels of this program, or time them
    Kernels(Kernels),
}

/// The instruction set to use.
#[derive(Clone, Debug, clap::Args)]
pub struct Isa {
    /// Instruction set: reference, portable, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm [default: the environment
    /// variable DYADIC_ISA, or else the best of this CPU]
    #[arg(long, value_name = "NAME", value_parser = isa)]
    isa: Option<IsaKind>,
}

impl Isa {
    /// That of the command line, or else of the environment, where an empty variable counts as none.
    pub fn get(&self) -> Result<Option<IsaKind>> {
        let variable = std::env::var_os("DYADIC_ISA").filter(|v| !v.is_empty());
        match (self.isa, variable) {
            (None, Some(name)) => {
                let name = name.to_string_lossy();
                isa(&name).map(Some).map_err(|e| format!("DYADIC_ISA={name}: {e}").into())
            }
            (given, _) => Ok(given),
        }
    }
}

/// What a session takes.
const THREADS: std::ops::RangeInclusive<i64> = 1..=dyadic_runtime::MAX_BANDS as i64;

/// How a session is set up.
#[derive(Clone, Debug, clap::Args)]
pub struct Machine {
    #[command(flatten)]
    pub isa: Isa,
    /// Worker threads, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(THREADS))]
    pub threads: u16,
    /// Cores to pin the threads to, at most one per thread, for example 0,1
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub cores: Vec<usize>,
}

fn isa(name: &str) -> std::result::Result<IsaKind, String> {
    IsaKind::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = IsaKind::ALL.iter().map(|isa| isa.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// A BLAKE3 digest, in lower case.
fn digest(text: &str) -> std::result::Result<String, String> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected 64 hexadecimal digits".to_string())
}

#[derive(Debug, clap::Args)]
pub struct Demo {
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rounding {
    /// One rounding, ties up, everywhere
    Dyadic,
    /// Byte for byte as TFLite's reference kernels
    Tflite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// As the source network has them
    Source,
    /// Channels last
    Nhwc,
}

/// `NAME=1,3,224,224`.
fn input_shape(text: &str) -> std::result::Result<(String, Vec<usize>), String> {
    let expected = "expected NAME=1,3,224,224 with extents of at least 1";
    let (name, extents) = text.rsplit_once('=').ok_or(expected)?;
    let extent = |e: &str| e.trim().parse().ok().filter(|&e| e > 0);
    let extents = extents.split(',').map(extent).collect::<Option<_>>().ok_or(expected)?;
    Ok((name.to_string(), extents))
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("order").args(["rgb", "bgr", "gray"])))]
pub struct Compile {
    /// The source network (.tflite or .onnx)
    pub input: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT.dyad")]
    pub output: PathBuf,
    /// Rounding rules
    #[arg(long, value_enum, default_value_t = Rounding::Dyadic)]
    pub rounding: Rounding,
    /// Store weights packed for this instruction set (repeatable; reference stores none) [default: avx2]
    #[arg(long, value_name = "NAME", value_parser = isa)]
    pub target: Vec<IsaKind>,
    /// Make this tensor an output and drop what follows it (repeatable)
    #[arg(long, value_name = "TENSOR")]
    pub cut_at: Vec<String>,
    /// Layout of pictures in and feature maps out; nhwc saves the transposition of an ONNX network at run time
    #[arg(long, value_enum, default_value_t = Layout::Source)]
    pub layout: Layout,
    /// Shape of an ONNX input whose file leaves it open (repeatable)
    #[arg(long, value_name = "NAME=1,3,224,224", value_parser = input_shape)]
    pub input_shape: Vec<(String, Vec<usize>)>,
    /// First extent of every ONNX input whose shape is not given [default: that of the file, or 1]
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroUsize>,
    /// End an ONNX network at its last integer tensors where operators on real numbers follow
    #[arg(long)]
    pub cut_float_tail: bool,
    /// Leave out logical weights where packed ones are stored
    #[arg(long)]
    pub board: bool,
    /// Mean of the pixel values, per channel or one for all; makes pictures usable as input
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true)]
    pub mean: Vec<f64>,
    /// Divisor of the pixel values, per channel or one for all
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true)]
    pub std: Vec<f64>,
    /// The network wants red first
    #[arg(long)]
    pub rgb: bool,
    /// The network wants blue first
    #[arg(long)]
    pub bgr: bool,
    /// The network wants one channel
    #[arg(long)]
    pub gray: bool,
    /// Labels of the output classes, one a line
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Write what became of every operator
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// The compiled network. It is mapped, not copied: do not write into the file while the command runs; to replace
    /// it, rename another file over it
    pub model: PathBuf,
    /// An input: .npy tensor or .png/.jpg picture, as FILE or NAME=FILE (repeatable)
    #[arg(long, value_name = "[NAME=]FILE", required = true)]
    pub input: Vec<String>,
    /// Write the output (of a network with one) as .npy
    #[arg(long, value_name = "FILE.npy", conflicts_with = "output_dir")]
    pub output: Option<PathBuf>,
    /// Write every output as 0.npy, 1.npy, ...
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Write the output of every step, and index.json, for the first run that the inputs hold
    #[arg(long, value_name = "DIR")]
    pub dump_layers: Option<PathBuf>,
    /// A uint8 .npy is NHWC pixels for the input recipe, not the tensor itself
    #[arg(long)]
    pub pixels: bool,
    /// Write outputs as float32
    #[arg(long)]
    pub dequantize: bool,
    /// Print the K largest values of the first output, for every run that the inputs hold
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub top: Option<u64>,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, clap::Args)]
pub struct Eval {
    /// The compiled network. It is mapped, not copied: do not write into the file while the command runs; to replace
    /// it, rename another file over it
    pub model: PathBuf,
    /// Pictures: an .npy (uint8 NHWC pixels, or tensors of the input's type), or a folder
    #[arg(long, value_name = "X")]
    pub images: PathBuf,
    /// Labels: an .npy of integers for an .npy of pictures, a .csv with the columns file and class for a folder
    #[arg(long, value_name = "Y")]
    pub labels: PathBuf,
    /// Added to every label (1 for networks whose class 0 is the background)
    #[arg(long, value_name = "N", default_value_t = 0, allow_hyphen_values = true)]
    pub label_offset: i64,
    /// An .npy holds pixels for the input recipe
    #[arg(long)]
    pub pixels: bool,
    /// Use only the first N pictures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Write the result, with the prediction for every picture
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The compiled network. It is mapped, not copied: do not write into the file while the command runs; to replace
    /// it, rename another file over it
    pub model: PathBuf,
    /// Print JSON
    #[arg(long, group = "form")]
    pub json: bool,
    /// Print a Graphviz graph
    #[arg(long, group = "form")]
    pub dot: bool,
    /// Write a picture of the memory plan
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub isa: Isa,
}

#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The compiled network. It is mapped, not copied: do not write into the file while the command runs; to replace
    /// it, rename another file over it
    pub model: PathBuf,
    /// Seeded inputs for the comparison of every kernel with the reference
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub inputs: u64,
    /// The source network: compiles it again and demands an identical file
    #[arg(long, value_name = "IN")]
    pub source: Option<PathBuf>,
    /// The BLAKE3 digest the file must have (hex). Only this proves where a file comes from: everything else shows that
    /// it is consistent with itself
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub expect: Option<String>,
    /// Write the digests of every layer's output for the seeded inputs
    #[arg(long, value_name = "D.json")]
    pub digests: Option<PathBuf>,
    /// Compare with digests that another machine wrote: proves that both compute the same
    #[arg(long, value_name = "D.json")]
    pub against: Option<PathBuf>,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, clap::Args)]
pub struct Profile {
    /// The compiled network. It is mapped, not copied: do not write into the file while the command runs; to replace
    /// it, rename another file over it
    pub model: PathBuf,
    /// Timed runs
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub runs: u32,
    /// Runs before the timed ones
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub warmup: u32,
    /// Write the profile as JSON
    #[arg(long, value_name = "F")]
    pub json: Option<PathBuf>,
    /// Write the table as CSV
    #[arg(long, value_name = "F")]
    pub csv: Option<PathBuf>,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, clap::Args)]
pub struct Kernels {
    #[command(flatten)]
    pub isa: Isa,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Time every kernel that runs here, on the shapes of real networks
    #[arg(long)]
    pub bench: bool,
    /// Only lines that hold this text in kernel, layer, shape or types
    #[arg(long, value_name = "FILTER", requires = "bench")]
    pub shapes: Option<String>,
    /// Time of every line; 0 runs each kernel once
    #[arg(long, value_name = "S", default_value_t = 0.1, value_parser = seconds, requires = "bench")]
    pub seconds: f64,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let valid = |s: &f64| (0.0..=3600.0).contains(s);
    text.parse().ok().filter(valid).ok_or_else(|| "expected seconds, 0 to 3600".to_string())
}
