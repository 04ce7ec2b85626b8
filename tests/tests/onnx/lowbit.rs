//! Published networks trained with 4-bit weights and activations: every logit and every layer equals the integers that
//! were computed when they were made.

use std::fs;
use std::path::{Path, PathBuf};

use dyadic_compiler::from_onnx::ImportOptions;
use dyadic_compiler::{Options, compile};
use dyadic_runtime::{IsaKind, Model};
use dyadic_tests::isas;

use crate::run::{compiled, decode, encode, session};

/// An integer array in C order: extents and values.
fn integers(path: &Path) -> (Vec<usize>, Vec<i64>) {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = npyz::NpyFile::new(&bytes[..]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let npyz::DType::Plain(plain) = file.dtype() else { panic!("{}: structured", path.display()) };
    assert_eq!(file.order(), npyz::Order::C, "{}", path.display());
    let shape = file.shape().iter().map(|&e| e as usize).collect();
    macro_rules! read {
        ($elem:ty) => {
            file.into_vec::<$elem>().expect("a whole array").into_iter().map(i64::from).collect()
        };
    }
    let values = match (plain.type_char(), plain.num_bytes()) {
        (npyz::TypeChar::Uint, Some(1)) => read!(u8),
        (npyz::TypeChar::Int, Some(1)) => read!(i8),
        (npyz::TypeChar::Int, Some(2)) => read!(i16),
        (npyz::TypeChar::Int, Some(4)) => read!(i32),
        (npyz::TypeChar::Int, Some(8)) => read!(i64),
        (kind, width) => panic!("{}: {kind:?} of {width:?} bytes is no integer type", path.display()),
    };
    (shape, values)
}

/// The place in the file of the element number `flat` of pictures with the channels last.
fn channels_last(shape: &[usize], flat: usize) -> usize {
    let &[_, h, w, c] = shape else { return flat };
    let (image, channel, pixel) = (flat / (c * h * w), flat / (h * w) % c, flat % (h * w));
    (image * h * w + pixel) * c + channel
}

struct Network {
    models: PathBuf,
    name: &'static str,
    model: Model,
    images: Vec<i64>,
    logits: Vec<i64>,
}

const PIXELS: usize = 32 * 32 * 3;

fn network(name: &'static str) -> Option<Network> {
    let models = dyadic_tests::real_models()?;
    let file = fs::read(models.join(format!("lowbit/{name}_qdq.onnx"))).expect("a readable network");
    let compile = || compile(&file, &Options::default()).unwrap_or_else(|e| panic!("{e}")).to_bytes();
    assert!(compile() == compile(), "two compilations of one network differ");
    let (shape, pictures) = integers(&models.join("eval/gtsrb32_x.npy"));
    assert_eq!(shape[1..], [32, 32, 3]);
    let images = (0..pictures.len()).map(|i| pictures[channels_last(&shape, i)]).collect();
    let (_, logits) = integers(&models.join(format!("lowbit/{name}_logits_int32.npy")));
    let model = compiled(&file, &ImportOptions::default());
    Some(Network { models, name, model, images, logits })
}

impl Network {
    fn logits_equal(&self) {
        let classes = self.model.outputs()[0].elements();
        let count = self.images.len() / PIXELS;
        assert_eq!(self.logits.len(), count * classes);
        let fast = isas().into_iter().rfind(|&isa| isa != IsaKind::Reference);
        for isa in isas() {
            for threads in [1, 2, 3] {
                let count = match isa {
                    IsaKind::Reference if threads > 1 => continue,
                    IsaKind::Reference => 3,
                    _ if Some(isa) == fast && threads == 1 => count,
                    _ => count.min(200),
                };
                let mut session = session(&self.model, isa, threads);
                let (input, output) = (&self.model.inputs()[0], &self.model.outputs()[0]);
                for image in 0..count {
                    let pixels = &self.images[image * PIXELS..][..PIXELS];
                    session.input_mut(0).copy_from_slice(&encode(input, pixels));
                    session.run().expect("a run");
                    let found = decode(output, session.output(0));
                    let expected = &self.logits[image * classes..][..classes];
                    assert_eq!(found, expected, "{}, image {image}, {}", self.name, isa.name());
                }
            }
        }
    }

    /// Every tensor whose values were kept is made by some step, under its name.
    fn layers_equal(&self) {
        let folder = self.models.join(format!("lowbit/{}_layers", self.name));
        let mut names: Vec<String> = fs::read_dir(&folder)
            .expect("a folder of layers")
            .map(|entry| entry.expect("a file").path())
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .filter(|name| name != "in")
            .collect();
        names.sort();
        for isa in isas() {
            let mut session = session(&self.model, isa, 1);
            let made: Vec<_> =
                session.steps().iter().map(|s| self.model.tensor(s.output).expect("a tensor")).collect();
            for image in 0..2 {
                let pixels = &self.images[image * PIXELS..][..PIXELS];
                session.input_mut(0).copy_from_slice(&encode(&self.model.inputs()[0], pixels));
                let mut seen: Vec<String> = Vec::new();
                session
                    .run_observed(&mut |step, bytes| {
                        let info = &made[step];
                        let name = match info.name.as_str() {
                            "logits" => "fc",
                            name => name.strip_suffix("_q").unwrap_or(name),
                        };
                        if !names.iter().any(|n| n == name) {
                            return;
                        }
                        let (_, expected) = integers(&folder.join(format!("{name}.npy")));
                        // Steps give pictures with the channels last, as the file has them.
                        let expected = &expected[image * info.elements()..][..info.elements()];
                        let found = decode(info, bytes);
                        assert_eq!(found, expected, "{} {name}, image {image}, {}", self.name, isa.name());
                        seen.push(name.to_owned());
                    })
                    .expect("a run");
                let missing: Vec<_> = names.iter().filter(|n| !seen.contains(n)).collect();
                assert!(missing.is_empty(), "{}: no step makes {missing:?}", self.name);
            }
        }
        let (shape, input) = integers(&folder.join("in.npy"));
        let own = (0..2 * PIXELS).map(|i| input[channels_last(&shape, i)]);
        assert!(own.eq(self.images[..2 * PIXELS].iter().copied()));
    }
}

#[test]
fn resnet8_w4a4() {
    let Some(network) = network("gtsrb_resnet8_w4a4") else { return };
    network.layers_equal();
    network.logits_equal();
}

#[test]
fn mbv2mini_w4a8() {
    let Some(network) = network("gtsrb_mbv2mini_w4a8") else { return };
    network.layers_equal();
    network.logits_equal();
}
