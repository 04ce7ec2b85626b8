//! What a file says beside the network: labels, the recipe of its pictures, where it comes from.

use dyadic_format::Contents;
use dyadic_format::records::{ChannelOrder, ProvenanceRecord, RecipeRecord};

use crate::compile::CompileError;
use crate::ir::{Graph, Tensor};
use crate::options::{Options, Order, Recipe, canonical};

/// Adds labels, recipe and provenance; the source by its length and digest.
pub(crate) fn describe(
    contents: &mut Contents,
    graph: &Graph,
    (source_bytes, source_digest): (usize, blake3::Hash),
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
        source_digest: *source_digest.as_bytes(),
        source_bytes: source_bytes as u64,
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
