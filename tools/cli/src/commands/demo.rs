use super::Answer;
use crate::args::Demo;
use crate::error::Result;

pub fn run(_: &Demo) -> Result<Answer> {
    Err("not yet".into())
}
