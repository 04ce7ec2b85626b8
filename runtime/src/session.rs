//! [`Session`]: a lowered model with its arena, ready to run.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use dyadic_format::AlignedBytes;
use dyadic_kernels::isa::{Cpu, IsaKind};
use dyadic_kernels::registry::Choice;

use crate::error::{LoadError, RunError, Warning};
use crate::lower::{Budget, Program, lower};
use crate::model::Model;
use crate::options::Options;
use crate::parallel::{Inline, MAX_BANDS, Parallel};
#[cfg(feature = "std")]
use crate::profile::{Clock, Profile, Recorder};
use crate::step::{Context, StepInfo};

/// One network ready to run: bound steps and one arena.
///
/// Fill the inputs, [`run`](Session::run), read the outputs; or [`run_with`](Session::run_with) on buffers of your
/// own. A run allocates nothing, and with one thread makes no system call.
#[derive(Debug)]
pub struct Session {
    /// Away only while a run is on the workers.
    executor: Option<Box<Executor>>,
    engine: Engine,
    model: Model,
    /// Arena bytes of the model's inputs and outputs.
    inputs: Vec<Range<usize>>,
    outputs: Vec<Range<usize>>,
    infos: Vec<StepInfo>,
    warnings: Vec<Warning>,
    isa: IsaKind,
    panicked: bool,
}

/// Who executes the steps.
enum Engine {
    /// The caller's thread, sharing out through this loop.
    Caller(Box<dyn Parallel>),
    #[cfg(feature = "std")]
    Workers(crate::threads::Workers),
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Engine::Caller(parallel) => write!(f, "Caller({} threads)", parallel.threads()),
            #[cfg(feature = "std")]
            Engine::Workers(workers) => write!(f, "{workers:?}"),
        }
    }
}

/// What a run needs and changes.
#[derive(Debug)]
pub(crate) struct Executor {
    model: Model,
    program: Program,
    arena: AlignedBytes,
    /// Calls of a parallel loop that run at the same time.
    threads: usize,
    /// `program.scratch` bytes per thread.
    scratch: AlignedBytes,
    #[cfg(feature = "std")]
    recorder: Option<Recorder>,
}

impl Executor {
    /// Executes the steps of that range.
    pub(crate) fn run(&mut self, steps: Range<usize>, parallel: &dyn Parallel) {
        let mut context = Context {
            file: self.model.bytes(),
            repacked: &self.program.repacked,
            scratch: &mut self.scratch,
            scratch_each: self.program.scratch,
            threads: self.threads,
            parallel,
        };
        let arena = &mut *self.arena;
        #[cfg(feature = "std")]
        if let Some(recorder) = &mut self.recorder {
            let mut clock = Clock::start();
            for index in steps {
                self.program.steps[index].run(arena, &mut context);
                recorder.step(index, clock.lap());
            }
            return;
        }
        for step in &self.program.steps[steps] {
            step.run(arena, &mut context);
        }
    }
}

impl Session {
    /// Checks and lowers the model, chooses a kernel for every step, allocates the arena and starts the threads.
    ///
    /// # Errors
    /// [`LoadError::Operator`] or [`LoadError::Tensor`] when the file asks for something that is not defined,
    /// [`LoadError::Memory`], [`LoadError::Isa`], [`LoadError::Option`], [`LoadError::Threads`].
    pub fn new(model: Model, options: &Options) -> Result<Session, LoadError> {
        check_threads(options.threads)?;
        let mut warnings = Vec::new();
        let cores = &options.cores;
        #[cfg(feature = "std")]
        if options.threads > 1 {
            let workers = crate::threads::Workers::start(options.threads, cores, &mut warnings)?;
            return Session::load(model, options, Engine::Workers(workers), options.threads, warnings);
        }
        #[cfg(feature = "std")]
        if let Some(&core) = cores.first()
            && !crate::threads::pin(core)
        {
            warnings.push(Warning::NotPinned { thread: 0, core });
        }
        #[cfg(not(feature = "std"))]
        warnings.extend(cores.iter().map(|&core| Warning::NotPinned { thread: 0, core }));
        Session::load(model, options, Engine::Caller(Box::new(Inline)), 1, warnings)
    }

    /// As [`Session::new`], with threads of the caller's own instead of `options.threads` and `options.cores`.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_parallel(
        model: Model,
        options: &Options,
        parallel: Box<dyn Parallel>,
    ) -> Result<Session, LoadError> {
        let threads = parallel.threads();
        check_threads(threads)?;
        Session::load(model, options, Engine::Caller(parallel), threads, Vec::new())
    }

    fn load(
        model: Model,
        options: &Options,
        engine: Engine,
        threads: usize,
        mut warnings: Vec<Warning>,
    ) -> Result<Session, LoadError> {
        #[cfg(feature = "std")]
        let cpu = Cpu::detect();
        #[cfg(not(feature = "std"))]
        let cpu = Cpu::compiled();
        let isa = options.isa.unwrap_or(cpu.best());
        if !cpu.has(isa) {
            return Err(LoadError::Isa { wanted: isa, best: cpu.best() });
        }
        let view = model.view();
        let mut budget = Budget::new(options.memory_limit);
        let arena = budget.allocate(view.header().arena_bytes)?;
        let mut program = lower(&model, Choice { isa, cpu }, &mut budget)?;
        let scratch = budget.allocate((program.scratch as u64).saturating_mul(threads as u64))?;
        #[cfg(feature = "std")]
        let recorder = Recorder::new(options.profile_runs, program.steps.len(), &mut budget)?;
        warnings.append(&mut program.warnings);
        let place = |&number: &u32| {
            let tensor = &view.tensors()[number as usize];
            tensor.offset as usize..(tensor.offset + tensor.bytes) as usize
        };
        let (inputs, outputs) =
            (view.inputs().iter().map(place).collect(), view.outputs().iter().map(place).collect());
        let infos = core::mem::take(&mut program.infos);
        let executor = Executor {
            model: model.clone(),
            program,
            arena,
            threads,
            scratch,
            #[cfg(feature = "std")]
            recorder,
        };
        Ok(Session {
            executor: Some(Box::new(executor)),
            engine,
            model,
            inputs,
            outputs,
            infos,
            warnings,
            isa,
            panicked: false,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The instruction set that kernels were chosen for.
    pub fn isa(&self) -> IsaKind {
        self.isa
    }

    /// What was noticed at load.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Bytes of activations, scratch not counted.
    pub fn arena_bytes(&self) -> usize {
        self.arena().len()
    }

    /// The steps in execution order, one per operator of the file.
    pub fn steps(&self) -> &[StepInfo] {
        &self.infos
    }

    fn arena(&self) -> &[u8] {
        self.executor.as_ref().map_or(&[], |executor| &executor.arena)
    }

    /// Input `index`, to be filled before every run: a run may overwrite it, and an output may lie in its bytes.
    ///
    /// # Panics
    /// When the model has no such input.
    pub fn input_mut(&mut self, index: usize) -> &mut [u8] {
        let range = self.inputs[index].clone();
        self.executor.as_mut().map_or(&mut [], |executor| &mut executor.arena[range])
    }

    /// Output `index` of the last run, valid until the next run or the next [`input_mut`](Session::input_mut): an
    /// output may share bytes with an input that was read for the last time.
    ///
    /// # Panics
    /// When the model has no such output.
    pub fn output(&self, index: usize) -> &[u8] {
        &self.arena()[self.outputs[index].clone()]
    }

    /// Runs the network on what the inputs hold.
    ///
    /// # Errors
    /// [`RunError::Panicked`].
    pub fn run(&mut self) -> Result<(), RunError> {
        #[cfg(feature = "std")]
        let mut clock = self.clock();
        let result = self.run_steps(0..self.infos.len());
        #[cfg(feature = "std")]
        if let (Some(clock), Ok(())) = (&mut clock, result) {
            self.record(clock.lap(), 0, 0);
        }
        result
    }

    /// Copies the inputs in, runs, and copies the outputs out.
    ///
    /// # Errors
    /// [`RunError::Count`] and [`RunError::Length`] before anything is copied; [`RunError::Panicked`].
    pub fn run_with(&mut self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<(), RunError> {
        check_lengths("input", "inputs", inputs.iter().map(|b| b.len()), &self.inputs)?;
        check_lengths("output", "outputs", outputs.iter().map(|b| b.len()), &self.outputs)?;
        #[cfg(feature = "std")]
        let (mut clock, mut whole) = (self.clock(), self.clock());
        for (index, bytes) in inputs.iter().enumerate() {
            self.input_mut(index).copy_from_slice(bytes);
        }
        #[cfg(feature = "std")]
        let copied_in = clock.as_mut().map_or(0, Clock::lap);
        self.run_steps(0..self.infos.len())?;
        #[cfg(feature = "std")]
        let _ = clock.as_mut().map(Clock::lap);
        for (index, bytes) in outputs.iter_mut().enumerate() {
            bytes.copy_from_slice(self.output(index));
        }
        #[cfg(feature = "std")]
        if let (Some(clock), Some(whole)) = (&mut clock, &mut whole) {
            let copied_out = clock.lap();
            self.record(whole.lap(), copied_in, copied_out);
        }
        Ok(())
    }

    /// Runs the network and calls `observe(step, output of that step)` after every step.
    ///
    /// # Errors
    /// [`RunError::Panicked`].
    pub fn run_observed(&mut self, observe: &mut dyn FnMut(usize, &[u8])) -> Result<(), RunError> {
        for step in 0..self.infos.len() {
            self.run_steps(step..step + 1)?;
            let executor = self.executor.as_ref().ok_or(RunError::Panicked)?;
            observe(step, &executor.arena[executor.program.steps[step].output.clone()]);
        }
        Ok(())
    }

    /// Whether none of these steps is shared out.
    #[cfg(feature = "std")]
    fn inline(&self, steps: &Range<usize>) -> bool {
        let steps = self.executor.as_ref().map(|executor| &executor.program.steps[steps.clone()]);
        steps.is_some_and(|steps| steps.iter().all(|step| !step.large))
    }

    fn run_steps(&mut self, steps: Range<usize>) -> Result<(), RunError> {
        if self.panicked {
            return Err(RunError::Panicked);
        }
        match &self.engine {
            Engine::Caller(parallel) => {
                if let Some(executor) = &mut self.executor {
                    // A panic unwinds through here and leaves the flag set.
                    self.panicked = true;
                    executor.run(steps, &**parallel);
                    self.panicked = false;
                }
            }
            #[cfg(feature = "std")]
            // Handing over wakes a thread and then this one: more than a run without a step to share out takes.
            Engine::Workers(workers) if self.inline(&steps) && !workers.are_pinned() => {
                if let Some(executor) = &mut self.executor {
                    self.panicked = true;
                    executor.run(steps, &Inline);
                    self.panicked = false;
                }
            }
            #[cfg(feature = "std")]
            Engine::Workers(workers) => {
                if let Some(executor) = self.executor.take() {
                    let (executor, panicked) = workers.run(executor, steps);
                    self.executor = Some(executor);
                    self.panicked = panicked;
                }
            }
        }
        if self.panicked { Err(RunError::Panicked) } else { Ok(()) }
    }
}

#[cfg(feature = "std")]
impl Session {
    /// The ticks of the last runs; `None` when the recorder is off.
    pub fn profile(&self) -> Option<Profile<'_>> {
        self.executor.as_ref()?.recorder.as_ref().map(Recorder::profile)
    }

    /// Forgets the recorded runs, such as those that warmed up caches.
    pub fn clear_profile(&mut self) {
        if let Some(recorder) = self.executor.as_mut().and_then(|e| e.recorder.as_mut()) {
            recorder.clear();
        }
    }

    /// A clock when the recorder is on.
    fn clock(&self) -> Option<Clock> {
        self.executor.as_ref()?.recorder.as_ref().map(|_| Clock::start())
    }

    fn record(&mut self, whole: u64, input: u64, output: u64) {
        if let Some(recorder) = self.executor.as_mut().and_then(|e| e.recorder.as_mut()) {
            recorder.finish(whole, input, output);
        }
    }
}

fn check_threads(threads: usize) -> Result<(), LoadError> {
    if (1..=MAX_BANDS).contains(&threads) {
        return Ok(());
    }
    Err(LoadError::Option { option: "threads", found: alloc::format!("{threads}"), expected: "1 to 64" })
}

fn check_lengths(
    what: &'static str,
    plural: &'static str,
    found: impl ExactSizeIterator<Item = usize>,
    expected: &[Range<usize>],
) -> Result<(), RunError> {
    if found.len() != expected.len() {
        return Err(RunError::Count { what: plural, found: found.len(), expected: expected.len() });
    }
    for (index, (found, range)) in found.zip(expected).enumerate() {
        if found != range.len() {
            return Err(RunError::Length { what, index, found, expected: range.len() });
        }
    }
    Ok(())
}
