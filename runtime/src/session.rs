//! [`Session`]: a model lowered for this machine, with its arena.

use std::time::Instant;

use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_kernels::registry::Choice;

use crate::bytes::AlignedBytes;
use crate::error::{LoadError, RunError, Warning};
use crate::execute::Executor;
use crate::lower::lower;
use crate::model::Model;
use crate::profile::{Profile, since};
use crate::step::StepInfo;
use crate::threads::{Serial, Workers, pin};

/// How a session is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads that a run uses, at least 1. With 1 the calling thread does everything.
    pub threads: usize,
    /// Cores to pin the threads to. With one thread, the thread that makes the session is pinned.
    pub cores: Vec<usize>,
    /// Instruction set; `None` for the best of this CPU.
    pub isa: Option<IsaKind>,
    /// Runs whose ticks are held; 0 records nothing and costs nothing.
    pub profile_runs: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: 1, cores: Vec::new(), isa: None, profile_runs: 0 }
    }
}

/// Most threads of a session.
const MAX_THREADS: usize = 1024;

/// A model bound to kernels, constants and one arena.
#[derive(Debug)]
pub struct Session {
    /// Lent to the workers during a run; gone only when one of them died.
    executor: Option<Executor>,
    workers: Option<Workers>,
    model: Model,
    infos: Vec<StepInfo>,
    warnings: Vec<Warning>,
    isa: IsaKind,
    arena_bytes: usize,
}

impl Session {
    /// Lowers a model for this CPU.
    ///
    /// # Errors
    /// [`LoadError`]: contradictions in the file, an instruction set this CPU lacks, no memory, no threads.
    pub fn new(model: Model, options: &Options) -> Result<Session, LoadError> {
        let cpu = Cpu::detect();
        let isa = options.isa.unwrap_or_else(|| cpu.best());
        if !cpu.has(isa) {
            return Err(LoadError::Isa { wanted: isa, best: cpu.best() });
        }
        if !(1..=MAX_THREADS).contains(&options.threads) {
            return Err(LoadError::Threads(format!(
                "{} threads, expected 1 to {MAX_THREADS}",
                options.threads
            )));
        }
        let view = model.view();
        let mut program = lower(&view, Choice { isa, cpu })?;
        let arena_bytes = usize::try_from(view.header().arena_bytes)
            .map_err(|_| LoadError::Memory { bytes: view.header().arena_bytes })?;
        // Every band's part starts on a cache line of its own.
        let band = program.scratch.next_multiple_of(64);
        let scratch = band.checked_mul(options.threads).ok_or(LoadError::Memory { bytes: u64::MAX })?;
        let profile =
            (options.profile_runs > 0).then(|| Profile::new(program.steps.len(), options.profile_runs));
        let executor = Executor {
            model: model.clone(),
            steps: program.steps,
            arena: AlignedBytes::zeroed(arena_bytes)?,
            scratch: AlignedBytes::zeroed(scratch)?,
            profile,
        };
        let mut workers = None;
        if options.threads > 1 {
            let (started, warnings) = Workers::start(options.threads, &options.cores)?;
            workers = Some(started);
            program.warnings.extend(warnings);
        } else if let Some(&core) = options.cores.first()
            && !pin(core)
        {
            program.warnings.push(Warning::NotPinned { core });
        }
        let (infos, warnings) = (program.infos, program.warnings);
        Ok(Session { executor: Some(executor), workers, model, infos, warnings, isa, arena_bytes })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The instruction set that was chosen.
    pub fn isa(&self) -> IsaKind {
        self.isa
    }

    /// The steps in execution order.
    pub fn steps(&self) -> &[StepInfo] {
        &self.infos
    }

    /// What the session did that its user may not have wanted.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Bytes of activations, scratch not counted.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// The bytes of input `index`, to be filled before each run: a run may overwrite them.
    ///
    /// # Panics
    /// When the model has no such input, or after [`RunError::WorkerLost`].
    pub fn input_mut(&mut self, index: usize) -> &mut [u8] {
        let number = self.model.inputs()[index].number;
        let range = self.range(number);
        let Some(executor) = &mut self.executor else { panic!("{}", RunError::WorkerLost) };
        &mut executor.arena.as_mut_slice()[range]
    }

    /// The bytes of output `index` after a run, valid until the next one.
    ///
    /// # Panics
    /// When the model has no such output, or after [`RunError::WorkerLost`].
    pub fn output(&self, index: usize) -> &[u8] {
        let number = self.model.outputs()[index].number;
        let range = self.range(number);
        let Some(executor) = &self.executor else { panic!("{}", RunError::WorkerLost) };
        &executor.arena.as_slice()[range]
    }

    /// Where a tensor lies in the arena; the file was checked.
    fn range(&self, tensor: usize) -> std::ops::Range<usize> {
        let record = &self.model.view().tensors()[tensor];
        let start = record.offset as usize;
        start..start + record.bytes as usize
    }

    /// Runs the network on what lies in its inputs. Allocates nothing; with one thread makes no system call.
    ///
    /// # Errors
    /// [`RunError::WorkerLost`].
    pub fn run(&mut self) -> Result<(), RunError> {
        match &self.workers {
            None => match &mut self.executor {
                Some(executor) => executor.run(&Serial),
                None => return Err(RunError::WorkerLost),
            },
            Some(workers) => {
                let executor = self.executor.take().ok_or(RunError::WorkerLost)?;
                self.executor = Some(workers.run(executor)?);
            }
        }
        Ok(())
    }

    /// Runs on the caller's buffers: copies the inputs in, runs, copies the outputs out.
    ///
    /// # Errors
    /// When a buffer is missing or has another length than its tensor.
    pub fn run_with(&mut self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<(), RunError> {
        let lengths = |infos: &[crate::TensorInfo], given: &mut dyn Iterator<Item = usize>, count: usize| {
            if infos.len() != count {
                return Err(RunError::Count { expected: infos.len(), found: count });
            }
            for (index, (info, found)) in infos.iter().zip(given).enumerate() {
                if info.bytes != found {
                    return Err(RunError::Length { index, expected: info.bytes, found });
                }
            }
            Ok(())
        };
        lengths(self.model.inputs(), &mut inputs.iter().map(|b| b.len()), inputs.len())?;
        lengths(self.model.outputs(), &mut outputs.iter().map(|b| b.len()), outputs.len())?;
        let start = Instant::now();
        for (index, input) in inputs.iter().enumerate() {
            self.input_mut(index).copy_from_slice(input);
        }
        let copied_in = since(start);
        self.run()?;
        let ran = since(start);
        for (index, output) in outputs.iter_mut().enumerate() {
            output.copy_from_slice(self.output(index));
        }
        let copied_out = since(start) - ran;
        if let Some(profile) = self.executor.as_mut().and_then(|e| e.profile.as_mut()) {
            profile.last_copies(copied_in, copied_out);
        }
        Ok(())
    }

    /// Runs step by step on the calling thread and shows each step's number and output bytes.
    ///
    /// # Errors
    /// [`RunError::WorkerLost`].
    pub fn run_observed(&mut self, observe: &mut dyn FnMut(usize, &[u8])) -> Result<(), RunError> {
        let executor = self.executor.as_mut().ok_or(RunError::WorkerLost)?;
        executor.run_observed(&Serial, observe);
        Ok(())
    }

    /// The recorded ticks, when [`Options::profile_runs`] asked for them.
    pub fn profile(&self) -> Option<&Profile> {
        self.executor.as_ref()?.profile.as_ref()
    }

    /// Forgets the recorded ticks, for example those of warm-up runs.
    pub fn clear_profile(&mut self) {
        if let Some(profile) = self.executor.as_mut().and_then(|e| e.profile.as_mut()) {
            profile.clear();
        }
    }
}
