//! What a file is compiled with, and the text that records it.

use dyadic_kernels::isa::IsaKind;

use crate::from_onnx::ImportOptions;
use crate::quantize::Contract;

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
    /// Of ONNX networks: shapes, layout, float tail.
    pub import: ImportOptions,
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
            import: ImportOptions::default(),
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

/// Names of a source network may hold the separator of [`canonical`].
fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace(';', "%3B")
}

/// The inverse of [`escaped`].
fn unescaped(text: &str) -> String {
    text.replace("%3B", ";").replace("%25", "%")
}

/// The options in a fixed order; `verify` reads them back to compile the source again.
pub(crate) fn canonical(options: &Options) -> String {
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
    for (name, shape) in &options.import.shapes.named {
        let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
        text += &format!(";input-shape={}:{}", extents.join(","), escaped(name));
    }
    if let Some(batch) = options.import.shapes.batch {
        text += &format!(";batch={batch}");
    }
    if options.import.nhwc {
        text += ";layout-nhwc";
    }
    if options.import.cut_float_tail {
        text += ";cut-float-tail";
    }
    text
}

fn input_shape_of(text: &str) -> Option<(String, Vec<usize>)> {
    let (extents, name) = text.split_once(':')?;
    let extents = extents.split(',').map(|e| e.parse().ok()).collect::<Option<_>>()?;
    Some((unescaped(name), extents))
}

impl Order {
    pub(crate) const fn name(self) -> &'static str {
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
            Some(("input-shape", text)) => {
                let (name, shape) = input_shape_of(text)?;
                options.import.shapes.named.insert(name, shape);
            }
            Some(("batch", count)) => options.import.shapes.batch = Some(count.parse().ok()?),
            None if part == "board" => options.board = true,
            None if part == "layout-nhwc" => options.import.nhwc = true,
            None if part == "cut-float-tail" => options.import.cut_float_tail = true,
            _ => return None,
        }
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::from_onnx::InputShapes;

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
            import: ImportOptions {
                shapes: InputShapes {
                    named: BTreeMap::from([("a;b:c".to_string(), vec![1, 3, 8]), ("x".to_string(), vec![2])]),
                    batch: Some(4),
                },
                nhwc: true,
                cut_float_tail: true,
            },
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
