//! Copies, padding, tiling, concatenation, argmax.

use dyadic_kernels::params::{Dims, MAX_RANK};
use dyadic_kernels::{ElemType, reference};

use crate::vector::{bytes, cases, elem, integers, values};

pub const FILES: &[&str] = &["movement", "concat", "argmax"];

#[test]
fn movements() {
    for case in cases("movement") {
        let elem = elem(case.text("type"));
        let input = case.tensor(elem, "in");
        let (shape, out) =
            (Dims::new(&case.sizes("shape")).unwrap(), Dims::new(&case.sizes("out_shape")).unwrap());
        let mut actual = vec![0; elem.bytes(out.count()).unwrap()];
        match case.text("operation") {
            "copy" => {
                let mut strides = [0; MAX_RANK];
                strides.iter_mut().zip(case.list("strides")).for_each(|(s, v)| *s = v as isize);
                reference::copy_strided(elem, &input, case.size("start"), &strides, &out, &mut actual);
            }
            "pad" => {
                let mut before = [0; MAX_RANK];
                before.iter_mut().zip(case.sizes("before")).for_each(|(b, v)| *b = v);
                reference::pad(elem, &shape, &input, &before, case.i32("value"), &out, &mut actual);
            }
            "tile" => reference::tile(elem, &shape, &input, &out, &mut actual),
            other => panic!("operation {other}"),
        }
        assert_eq!(values(elem, &actual, out.count()), case.list("out"), "{}", case.name);
    }
}

#[test]
fn concatenations() {
    for case in cases("concat") {
        let (elem, outer) = (case.elem("type"), case.size("outer"));
        let expected = case.tensor(elem, "out");
        let pitch = expected.len() / outer;
        let (mut actual, mut first) = (vec![0; expected.len()], 0);
        for branch in case.parts("branches") {
            let run = branch["run"].as_u64().unwrap() as usize;
            let table = branch["table"].is_array().then(|| {
                // By byte instead of from the lowest code up.
                let codes = bytes(elem, &integers(&branch["table"]));
                let mut table = [0; 256];
                (elem.min()..=elem.max()).zip(codes).for_each(|(q, code)| table[usize::from(q as u8)] = code);
                table
            });
            let input = bytes(elem, &integers(&branch["in"]));
            reference::concat(&input, outer, run, table.as_ref(), &mut actual, first, pitch);
            first += run;
        }
        assert_eq!(first, pitch);
        assert_eq!(actual, expected, "{}", case.name);
    }
}

#[test]
fn argmaxes() {
    for case in cases("argmax") {
        let elem = case.elem("type");
        let (outer, depth, inner) = (case.size("outer"), case.size("depth"), case.size("inner"));
        let mut actual = vec![0; 4 * outer * inner];
        reference::argmax(elem, outer, depth, inner, &case.tensor(elem, "in"), &mut actual);
        assert_eq!(values(ElemType::S32, &actual, outer * inner), case.list("out"), "{}", case.name);
    }
}
