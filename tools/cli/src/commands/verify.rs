use super::Answer;
use crate::args::Verify;
use crate::error::Result;

pub fn run(_: &Verify) -> Result<Answer> {
    Err("not yet".into())
}
