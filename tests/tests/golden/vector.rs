//! Reading the vector files: see `tests/vectors/README.md`.

use std::path::PathBuf;

use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Output, Quant};
use dyadic_kernels::requant::Dyadic;
use serde_json::Value;

pub fn folder() -> PathBuf {
    dyadic_tests::repository("tests/vectors")
}

/// The cases of a file; there is at least one.
pub fn cases(name: &str) -> Vec<Case> {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["rule"], name);
    let Value::Array(list) = file["cases"].take() else { panic!("{name}: no cases") };
    assert!(!list.is_empty());
    list.into_iter().enumerate().map(|(i, value)| Case { name: format!("{name} case {i}"), value }).collect()
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// File and number, for messages.
    pub name: String,
    value: Value,
}

impl Case {
    pub fn field(&self, key: &str) -> &Value {
        self.value.get(key).unwrap_or_else(|| panic!("{}: no field {key}", self.name))
    }

    pub fn text(&self, key: &str) -> &str {
        self.field(key).as_str().unwrap()
    }

    pub fn flag(&self, key: &str) -> bool {
        self.field(key).as_bool().unwrap()
    }

    pub fn int(&self, key: &str) -> i64 {
        self.field(key).as_i64().unwrap_or_else(|| panic!("{}: {key}", self.name))
    }

    pub fn i32(&self, key: &str) -> i32 {
        self.int(key).try_into().unwrap()
    }

    pub fn size(&self, key: &str) -> usize {
        self.int(key).try_into().unwrap()
    }

    pub fn list(&self, key: &str) -> Vec<i32> {
        integers(self.field(key))
    }

    pub fn sizes(&self, key: &str) -> Vec<usize> {
        self.list(key).into_iter().map(|v| v.try_into().unwrap()).collect()
    }

    pub fn pair(&self, key: &str) -> [usize; 2] {
        self.sizes(key).try_into().unwrap()
    }

    /// The parts of a nested list.
    pub fn rows(&self, key: &str) -> Vec<Vec<i32>> {
        self.parts(key).iter().map(integers).collect()
    }

    pub fn parts(&self, key: &str) -> &[Value] {
        self.field(key).as_array().unwrap()
    }

    /// A float32 stored as its bits.
    pub fn scale(&self, key: &str) -> f32 {
        f32::from_bits(self.int(key).try_into().unwrap())
    }

    pub fn elem(&self, key: &str) -> ElemType {
        elem(self.text(key))
    }

    /// The codes of a list as bytes.
    pub fn tensor(&self, elem: ElemType, key: &str) -> Vec<u8> {
        bytes(elem, &self.list(key))
    }

    pub fn factor(&self, m: &str, s: &str) -> Dyadic {
        // Rule 11 has multipliers below 2^30; that every other one is normal is checked where factors are derived.
        Dyadic::unnormalised(self.i32(m), self.i32(s)).unwrap()
    }

    pub fn quant(&self, elem: &str, zero_point: &str) -> Quant {
        Quant { elem: self.elem(elem), zero_point: self.i32(zero_point) }
    }

    /// `zp`, `lo`, `hi` of a type.
    pub fn output(&self, elem: &str) -> Output {
        Output { elem: self.elem(elem), zero_point: self.i32("zp"), lo: self.i32("lo"), hi: self.i32("hi") }
    }
}

pub fn integers(list: &Value) -> Vec<i32> {
    list.as_array().unwrap().iter().map(|v| v.as_i64().unwrap().try_into().unwrap()).collect()
}

pub fn elem(name: &str) -> ElemType {
    let all = [ElemType::U8, ElemType::S8, ElemType::U4, ElemType::S4, ElemType::S16, ElemType::S32];
    all.into_iter().find(|e| e.name() == name).unwrap()
}

/// Codes to the bytes of a tensor.
pub fn bytes(elem: ElemType, values: &[i32]) -> Vec<u8> {
    let mut bytes = vec![0; elem.bytes(values.len()).unwrap()];
    for (i, &value) in values.iter().enumerate() {
        assert!(elem.min() <= value && value <= elem.max());
        elem.store(&mut bytes, i, value);
    }
    bytes
}

/// The codes of a tensor.
pub fn values(elem: ElemType, bytes: &[u8], count: usize) -> Vec<i32> {
    (0..count).map(|i| elem.load(bytes, i)).collect()
}
