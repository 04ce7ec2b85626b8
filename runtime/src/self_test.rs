//! Self-test on the golden records of a file, and digests of every layer.

use alloc::vec::Vec;
use core::fmt;

use dyadic_format::records::GoldenRecord;
use dyadic_format::seeded::Generator;

use crate::error::{LoadError, RunError};
use crate::model::Model;
use crate::options::Options;
use crate::session::Session;

/// Seed of the golden records that [`Model::golden_records`] makes.
const GOLDEN_SEED: u64 = 1;

/// Why a self-test did not pass.
#[derive(Debug)]
#[non_exhaustive]
pub enum SelfTestError {
    /// The session could not be made.
    Load(LoadError),
    /// The session could not run.
    Run(RunError),
    /// The file has no golden records.
    NoRecords,
    /// An output differs from the one that the compiler recorded.
    Differs {
        /// Seed of the inputs.
        seed: u64,
        /// Number of the model output.
        output: usize,
        /// Recorded BLAKE3 of its bytes.
        expected: [u8; 32],
        /// BLAKE3 of the bytes that this machine computed.
        found: [u8; 32],
    },
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelfTestError::Load(error) => write!(f, "{error}"),
            SelfTestError::Run(error) => write!(f, "{error}"),
            SelfTestError::NoRecords => write!(f, "the file has no golden records"),
            SelfTestError::Differs { seed, output, .. } => {
                write!(f, "output {output} differs from the recorded one on the inputs of seed {seed}")
            }
        }
    }
}

impl core::error::Error for SelfTestError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            SelfTestError::Load(error) => Some(error),
            SelfTestError::Run(error) => Some(error),
            SelfTestError::NoRecords | SelfTestError::Differs { .. } => None,
        }
    }
}

impl From<LoadError> for SelfTestError {
    fn from(error: LoadError) -> SelfTestError {
        SelfTestError::Load(error)
    }
}

impl From<RunError> for SelfTestError {
    fn from(error: RunError) -> SelfTestError {
        SelfTestError::Run(error)
    }
}

impl Session {
    /// Fills the inputs with the values that `seed` stands for: see [`dyadic_format::seeded`].
    pub fn fill_seeded(&mut self, seed: u64) {
        let model = self.model().clone();
        let view = model.view();
        let mut generator = Generator::new(seed);
        for (index, &number) in view.inputs().iter().enumerate() {
            generator.fill(&view.tensors()[number as usize], self.input_mut(index));
        }
    }

    /// BLAKE3 of the output bytes of every step, on the inputs of `seed`. Equal on every machine.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn layer_digests(&mut self, seed: u64) -> Result<Vec<[u8; 32]>, RunError> {
        self.fill_seeded(seed);
        let mut digests = Vec::with_capacity(self.steps().len());
        self.run_observed(&mut |_, bytes| digests.push(*blake3::hash(bytes).as_bytes()))?;
        Ok(digests)
    }
}

impl Model {
    /// Golden records for a file that has none yet: one run on seeded inputs, the digest of every output.
    ///
    /// # Errors
    /// When the network cannot be loaded or run here.
    pub fn golden_records(&self) -> Result<Vec<GoldenRecord>, SelfTestError> {
        let mut session = Session::new(self.clone(), &Options::default())?;
        session.fill_seeded(GOLDEN_SEED);
        session.run()?;
        let record = |output: usize| GoldenRecord {
            seed: GOLDEN_SEED,
            output: output as u32,
            reserved: 0,
            digest: *blake3::hash(session.output(output)).as_bytes(),
        };
        Ok((0..self.outputs().len()).map(record).collect())
    }

    /// Runs the network on the seeded inputs of the golden records in the file and compares the outputs.
    ///
    /// # Errors
    /// The first output that differs; [`SelfTestError::NoRecords`] when there is nothing to compare with.
    pub fn self_test(&self, options: &Options) -> Result<(), SelfTestError> {
        let golden = self.view().golden();
        if golden.is_empty() {
            return Err(SelfTestError::NoRecords);
        }
        let mut session = Session::new(self.clone(), options)?;
        let mut last_seed = None;
        for record in golden {
            // Records of one seed follow each other, so one run serves them all.
            if last_seed != Some(record.seed) {
                session.fill_seeded(record.seed);
                session.run()?;
                last_seed = Some(record.seed);
            }
            let output = record.output as usize;
            let found = *blake3::hash(session.output(output)).as_bytes();
            if found != record.digest {
                return Err(SelfTestError::Differs {
                    seed: record.seed,
                    output,
                    expected: record.digest,
                    found,
                });
            }
        }
        Ok(())
    }
}
