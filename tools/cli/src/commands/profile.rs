//! `dyadic profile`: where the time goes.

use std::path::Path;
use std::time::Instant;

use dyadic_runtime::{Model, RunError, Session, StepInfo, Warning};

use super::Answer;
use crate::args::{Machine, Profile};
use crate::error::{Error, Result};
use crate::{isa, load, progress};

mod export;
mod print;
pub mod ticks;

use ticks::Ticks;

/// A measured session. The whole of a run spans its copies, its layers and the work of the session between them.
pub struct Measured {
    name: String,
    model: Model,
    steps: Vec<StepInfo>,
    layers: Vec<Ticks>,
    whole: Ticks,
    input_copy: Ticks,
    output_copy: Ticks,
    cold: u64,
    /// Medians of the same call, timed from outside, with and without the recorder.
    recorded: u64,
    unrecorded: u64,
    isa: &'static str,
    threads: usize,
    pinned: Vec<usize>,
    warmup: u32,
}

pub fn run(args: &Profile) -> Result<Answer> {
    let model = load::model(&args.model)?;
    let measured = measure(&args.model, &model, &args.machine, args.runs, args.warmup)?;
    measured.print(&mut std::io::stdout().lock())?;
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", measured.json())).map_err(|e| Error::io(path, e))?;
    }
    if let Some(path) = &args.csv {
        measured.csv(path)?;
    }
    Ok(Answer::Yes)
}

/// Runs a model on seeded inputs: recorded and unrecorded runs in turn, so that the cost of measuring shows.
pub fn measure(path: &Path, model: &Model, machine: &Machine, runs: u32, warmup: u32) -> Result<Measured> {
    let options = load::options(machine, runs as usize)?;
    let unrecorded = load::options(machine, 0)?;
    let open = |options| Session::new(model.clone(), options).map_err(|e| Error::file(path, e));
    let (mut session, mut plain) = (open(&options)?, open(&unrecorded)?);
    load::print_warnings(&session);
    let mut buffers = Buffers::seeded(&mut session);
    let mut timed = |session: &mut Session| buffers.run(session).map_err(|e| Error::file(path, e));
    let cold = timed(&mut session)?;
    for _ in 0..warmup {
        timed(&mut session)?;
        timed(&mut plain)?;
    }
    session.clear_profile();
    let bar = progress::bar(runs.into(), "profile");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        with.push(timed(&mut session)?);
        without.push(timed(&mut plain)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Some(profile) = session.profile() else { return Err("the session recorded nothing".into()) };
    let over = |f: &dyn Fn(usize) -> u64| Ticks::new((0..profile.runs()).map(f).collect());
    let layers = (0..profile.steps()).map(|step| over(&|run| profile.step_ticks(run)[step])).collect();
    Ok(Measured {
        name: path.display().to_string(),
        model: model.clone(),
        steps: session.steps().to_vec(),
        layers,
        whole: over(&|run| profile.whole(run)),
        input_copy: over(&|run| profile.input_copy(run)),
        output_copy: over(&|run| profile.output_copy(run)),
        cold,
        recorded: Ticks::new(with).median(),
        unrecorded: Ticks::new(without).median(),
        isa: isa::used(session.isa()).name(),
        threads: options.threads,
        pinned: pinned(&options.cores, &session),
        warmup,
    })
}

/// The cores that threads were really pinned to.
fn pinned(cores: &[usize], session: &Session) -> Vec<usize> {
    let refused = |wanted: usize| {
        session.warnings().iter().any(|w| matches!(w, Warning::NotPinned { core, .. } if *core == wanted))
    };
    cores.iter().copied().filter(|&core| !refused(core)).collect()
}

/// The caller's side of `run_with`, made once.
struct Buffers {
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

impl Buffers {
    fn seeded(session: &mut Session) -> Buffers {
        session.fill_seeded(1);
        let count = session.model().inputs().len();
        Buffers {
            inputs: (0..count).map(|i| session.input_mut(i).to_vec()).collect(),
            outputs: session.model().outputs().iter().map(|o| vec![0; o.bytes]).collect(),
        }
    }

    /// One run with its copies, in nanoseconds.
    fn run(&mut self, session: &mut Session) -> std::result::Result<u64, RunError> {
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let start = Instant::now();
        session.run_with(&inputs, &mut outputs)?;
        Ok(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Measured {
    fn shape(&self, step: &StepInfo) -> String {
        crate::text::extents(self.model.view().tensors()[step.output].shape())
    }

    /// The rows besides the layers that add up to the whole run: name, times, mean.
    fn closing(&self) -> [(&'static str, Option<&Ticks>, f64); 4] {
        let layers: f64 = self.layers.iter().map(Ticks::mean).sum();
        let (into, out) = (&self.input_copy, &self.output_copy);
        let dispatch = self.whole.mean() - layers - into.mean() - out.mean();
        [
            ("layers", None, layers),
            ("dispatch", None, dispatch),
            ("input copy", Some(into), into.mean()),
            ("output copy", Some(out), out.mean()),
        ]
    }
}
