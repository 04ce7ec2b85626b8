//! Tests of the `.dyad` file: round trips, damage, hostile fields, the specification's own example.
#![forbid(unsafe_code)]

mod arbitrary;
mod damage;
mod document;
mod fields;
mod models;
mod plan;
mod round_trip;
mod seal;
mod seeded;
mod wrong;
