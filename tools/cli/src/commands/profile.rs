use super::Answer;
use crate::args::Profile;
use crate::error::Result;

pub fn run(_: &Profile) -> Result<Answer> {
    Err("not yet".into())
}
