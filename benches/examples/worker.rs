//! One network in a process of its own, driven line by line by `benches/peers/compare.py`.
//!
//! usage: `worker NETWORK.dyad THREADS INPUT`
//!
//! `peers/worker.py` describes the lines; it speaks the same for the other runtimes. `DYADIC_ISA` names the instruction
//! set, the best of the CPU by default.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use dyadic_runtime::{IsaKind, Model, Options, Session};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Values of the first output that are given.
const VALUES: usize = 1000;

/// A session with the caller's side of [`Session::run_with`].
struct Worker {
    session: Session,
    input: Vec<u8>,
    outputs: Vec<Vec<u8>>,
}

impl Worker {
    fn load(path: &str, threads: &str) -> Result<Session> {
        let isa = std::env::var("DYADIC_ISA").ok().filter(|name| !name.is_empty());
        let isa = match isa {
            Some(name) => Some(IsaKind::from_name(&name).ok_or("DYADIC_ISA names no instruction set")?),
            None => None,
        };
        let options = Options { threads: threads.parse()?, isa, ..Options::default() };
        Ok(Session::new(Model::open(path)?, &options)?)
    }

    /// With the first values in `path` as the input's codes.
    fn new(session: Session, path: &str) -> Result<Worker> {
        let values: Vec<f32> = std::fs::read(path)?
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let info = session.model().inputs().first().ok_or("a network without inputs")?;
        let mut input = vec![0; info.bytes];
        let values = values.get(..info.elements()).ok_or("more elements than values")?;
        for (i, value) in values.iter().enumerate() {
            info.elem.store(&mut input, i, ((value + 1.0) * 127.5).round() as i32 + info.elem.min());
        }
        let outputs = session.model().outputs().iter().map(|o| vec![0; o.bytes]).collect();
        Ok(Worker { session, input, outputs })
    }

    fn infer(&mut self) -> Result<u128> {
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let start = Instant::now();
        self.session.run_with(&[&self.input], &mut outputs)?;
        Ok(start.elapsed().as_nanos())
    }

    fn burst(&mut self, seconds: &str) -> Result<String> {
        let (start, time) = (Instant::now(), Duration::from_secs_f64(seconds.parse()?));
        let mut times = Vec::new();
        while times.is_empty() || start.elapsed() < time {
            times.push(self.infer()?);
        }
        Ok(format!(r#"{{"ns": {times:?}, "peak_kb": {}}}"#, memory("VmHWM:")))
    }

    fn output(&mut self) -> Result<String> {
        self.infer()?;
        let info = self.session.model().outputs().first().ok_or("a network without outputs")?;
        let bytes = self.outputs.first().ok_or("a network without outputs")?;
        let codes: Vec<i32> = (0..info.elements().min(VALUES)).map(|i| info.elem.load(bytes, i)).collect();
        Ok(format!(r#"{{"output": {codes:?}}}"#))
    }
}

/// Kilobytes: VmRSS now, VmHWM at most so far.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn start(arguments: &[String]) -> Result<(Worker, String)> {
    let [path, threads, input] = arguments else {
        return Err("usage: worker NETWORK.dyad THREADS INPUT".into());
    };
    let (base, begin) = (memory("VmRSS:"), Instant::now());
    let session = Worker::load(path, threads)?;
    let load = begin.elapsed().as_nanos();
    let mut worker = Worker::new(session, input)?;
    let first = worker.infer()?;
    let peak = memory("VmHWM:");
    let answer = format!(
        r#"{{"ok": true, "load_ns": {load}, "first_ns": {first}, "base_kb": {base}, "peak_kb": {peak}}}"#
    );
    Ok((worker, answer))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout();
    let (mut worker, answer) = match start(&arguments) {
        Ok(started) => started,
        Err(error) => {
            writeln!(out, r#"{{"error": {:?}}}"#, error.to_string())?;
            return Ok(());
        }
    };
    writeln!(out, "{answer}")?;
    for line in std::io::stdin().lock().lines() {
        let answer = match line?.split_once(' ') {
            Some(("run", seconds)) => worker.burst(seconds)?,
            _ => worker.output()?,
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
