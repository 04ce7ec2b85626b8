//! Rewrites of the intermediate representation that change no output byte. Each pass is one file; [`run`] applies
//! them in an order in which each prepares the next.

use crate::ir::Graph;
use crate::quantize::Contract;

mod dead_code;
mod fold_activation;
mod fold_constants;
mod fold_pad;
mod fold_quantize;
mod single_channel_depthwise;

/// Runs every pass.
pub fn run(graph: &mut Graph, contract: Contract) {
    fold_constants::run(graph, contract);
    fold_quantize::run(graph);
    fold_activation::run(graph);
    fold_pad::run(graph);
    single_channel_depthwise::run(graph);
    dead_code::run(graph);
}
