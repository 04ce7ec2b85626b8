use super::Answer;
use crate::args::Eval;
use crate::error::Result;

pub fn run(_: &Eval) -> Result<Answer> {
    Err("not yet".into())
}
