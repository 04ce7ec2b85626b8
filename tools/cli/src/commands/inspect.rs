use super::Answer;
use crate::args::Inspect;
use crate::error::Result;

pub fn run(_: &Inspect) -> Result<Answer> {
    Err("not yet".into())
}
