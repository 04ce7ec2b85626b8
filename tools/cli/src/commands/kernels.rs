//! `dyadic kernels`: the registry, and how fast its kernels are here.

use std::io::Write;

use dyadic_kernels::isa::Cpu;
use dyadic_kernels::registry::{Kernel, kernels};
use serde_json::json;

use super::Answer;
use crate::args::Kernels;
use crate::error::Result;
use crate::isa;
use crate::table::Table;

mod bench;
mod clock;
mod shapes;
mod work;

pub fn run(args: &Kernels) -> Result<Answer> {
    let cpu = Cpu::detect();
    if args.bench {
        return bench::run(args, cpu);
    }
    let out = &mut std::io::stdout().lock();
    if args.json {
        let rows: Vec<_> = kernels().map(|k| describe(k, cpu)).collect();
        writeln!(out, "{:#}", json!({ "schema": "dyadic-kernels-1", "kernels": rows }))?;
        return Ok(Answer::Yes);
    }
    let mut table = Table::new(&["<name", "<op", "MR", "NR", "KR", "<weights", "<isa", "<here"]);
    for kernel in kernels() {
        let runs = if cpu.has(kernel.isa) { "runs" } else { "no" };
        let tile = kernel.tile;
        table.row(vec![
            kernel.name.to_string(),
            format!("{:?}", kernel.op),
            tile.mr.to_string(),
            tile.nr.to_string(),
            tile.kr.to_string(),
            format!("{:?}", kernel.layout),
            kernel.isa.name().to_string(),
            runs.to_string(),
        ]);
    }
    table.print(out)?;
    writeln!(out, "\nthis CPU runs those of {}", isa::used(cpu.best()).name())?;
    Ok(Answer::Yes)
}

fn describe(kernel: &Kernel, cpu: Cpu) -> serde_json::Value {
    json!({
        "name": kernel.name,
        "op": format!("{:?}", kernel.op),
        "mr": kernel.tile.mr,
        "nr": kernel.tile.nr,
        "kr": kernel.tile.kr,
        "layout": format!("{:?}", kernel.layout),
        "isa": kernel.isa.name(),
        "runs_here": cpu.has(kernel.isa),
    })
}
