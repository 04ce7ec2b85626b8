//! `dyadic demo`: the sample network on the sample picture, both inside the binary.

use std::io::Write;
use std::path::Path;

use dyadic_runtime::{Model, Options, Session};

use super::Answer;
use super::profile::measure;
use super::run::{print_top, top};
use crate::args::Demo;
use crate::error::{Error, Result};
use crate::{input, load, picture};

/// Runs that the layer table is made of.
const RUNS: u32 = 1000;

/// A file in the binary, aligned as the runtime wants it.
#[repr(C, align(64))]
struct Aligned<B: ?Sized>(B);

/// What `dyadic compile` made of the sample network; a test compiles it again and compares.
static NETWORK: &Aligned<[u8]> = &Aligned(*include_bytes!("../../sample/road_signs.dyad"));
static PICTURE: &[u8] = include_bytes!("../../sample/sample.png");

pub fn run(args: &Demo) -> Result<Answer> {
    let model = Model::from_bytes(&NETWORK.0).map_err(|e| Error::Message(e.to_string()))?;
    // One picture needs one thread; the table below is made with all of them.
    let options = Options { threads: 1, cores: Vec::new(), ..load::options(&args.machine, 0)? };
    let mut session = Session::new(model.clone(), &options).map_err(|e| Error::Message(e.to_string()))?;
    let pixels = picture::decode(PICTURE)?;
    let out = &mut std::io::stdout().lock();
    writeln!(
        out,
        "road signs: {} bytes of network, a picture of {}x{} pixels, integers only\n",
        NETWORK.0.len(),
        pixels.width,
        pixels.height
    )?;
    let bytes = input::from_pixels(&model, 0, pixels)?;
    session.input_mut(0).copy_from_slice(&bytes);
    session.run().map_err(|e| Error::Message(e.to_string()))?;
    let view = model.view();
    let best = top(&model.outputs()[0], session.output(0), 1);
    let label = best.first().and_then(|&(class, _)| view.label(class)).unwrap_or("?");
    writeln!(out, "label: {label}\n\ntop 5:")?;
    print_top(out, &model, session.output(0), 5)?;
    writeln!(out)?;
    measure(Path::new("the built-in sample"), &model, &args.machine, RUNS, RUNS / 10)?.print(out)?;
    Ok(Answer::Yes)
}
