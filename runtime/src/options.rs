//! How a session is to run.

use alloc::vec::Vec;

use dyadic_kernels::isa::IsaKind;

/// How a session is to run. `Options::default()` is one thread on the strongest instruction set of this CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads, 1 to [`crate::MAX_BANDS`]. One thread means the caller's own; more means as many workers, started and
    /// pinned once.
    pub threads: usize,
    /// Worker `i` is pinned to `cores[i]`, where that is given. With one thread, [`crate::Session::new`] pins the
    /// thread that calls it. A core that cannot be pinned is a [`crate::Warning`].
    pub cores: Vec<usize>,
    /// The instruction set whose kernels to use, and those it includes; `None` takes the strongest of this CPU.
    pub isa: Option<IsaKind>,
    /// Runs whose ticks are kept for [`crate::Session::profile`]; 0 switches the recorder off.
    pub profile_runs: usize,
    /// Most bytes that a session may allocate; a file that asks for more is refused. Counted are the arena, scratch of
    /// all threads, weights that are packed or decoded at load, tables of resizes, the steps with their operands and
    /// branches, and the ticks of the profile. Not counted are the file itself and what a [`crate::Model`] keeps of
    /// it, both of which the length of the file bounds, and the stacks of the workers. 4 GiB by default.
    pub memory_limit: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: 1, cores: Vec::new(), isa: None, profile_runs: 0, memory_limit: 4 << 30 }
    }
}
