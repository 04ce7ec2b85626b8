//! The `dyadic` command from outside: exit codes, messages, files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod compile;
mod eval;
mod inspect;
mod kernels;
mod networks;
mod profile;
mod run;
mod verify;

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the command with a clean environment of its own.
fn dyadic(args: &[&str]) -> Said {
    dyadic_with(args, None)
}

/// The same with `DYADIC_ISA` set.
fn dyadic_with(args: &[&str], isa: Option<&str>) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dyadic"));
    command.args(args).env_remove("DYADIC_ISA");
    if let Some(isa) = isa {
        command.env("DYADIC_ISA", isa);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// What a command that succeeds prints.
#[track_caller]
fn done(args: &[&str]) -> String {
    let said = dyadic(args);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}: {}", said.out);
    said.out
}

/// The command is an error whose message holds every one of `words`; nothing is on standard output.
#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let said = dyadic(args);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}: {}", said.err);
    assert!(said.err.starts_with("error: "), "{args:?}: {}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{args:?}: '{word}' is not in: {}", said.err);
    }
}

/// A file of the sample.
fn sample(name: &str) -> String {
    format!("{}/sample/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The compiled sample network.
fn model() -> String {
    sample("road_signs.dyad")
}

/// An empty folder of that test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A path in it.
    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    /// Writes a file and gives its path.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.at(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes an array and gives its path.
    fn npy<T: npyz::AutoSerialize + Copy>(&self, name: &str, shape: &[u64], data: &[T]) -> String {
        use npyz::WriterBuilder;
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(data.iter().copied()).unwrap();
        writer.finish().unwrap();
        self.file(name, bytes)
    }

    /// Compiles a `.tflite` file and gives the path of the compiled one.
    fn compiled(&self, name: &str, source: &[u8]) -> String {
        let (input, output) =
            (self.file(&format!("{name}.tflite"), source), self.at(&format!("{name}.dyad")));
        done(&["compile", &input, "-o", &output]);
        output
    }
}

/// Shape and elements of an array.
fn read_npy<T: npyz::Deserialize>(path: &str) -> (Vec<u64>, Vec<T>) {
    let bytes = std::fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

fn read_json(path: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn usage_errors_and_help_have_their_exit_codes() {
    assert_eq!(dyadic(&[]).code, Some(2));
    assert_eq!(dyadic(&["nonsense"]).code, Some(2));
    assert_eq!(dyadic(&["--help"]).code, Some(0));
    assert_eq!(dyadic(&["demo"]).code, Some(0));
    assert_eq!(dyadic(&["kernels"]).code, Some(0));
    // The contract of the memory map is the user's to keep, so the help states it.
    for command in ["run", "eval", "inspect", "verify", "profile"] {
        let help: String = done(&[command, "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("do not write into the file while the command runs"), "{command}: {help}");
    }
}

#[test]
fn no_option_is_out_of_range() {
    let (model, picture) = (&model(), &sample("sample.png"));
    refused(&["run", model, "--input", picture, "--threads", "0"], &["1..=64"]);
    refused(&["run", model, "--input", picture, "--threads", "65"], &["1..=64"]);
    refused(&["run", model, "--input", picture, "--cores", "0,1"], &["2 cores", "--threads 2"]);
    refused(&["run", model, "--input", picture, "--top", "0"], &["--top"]);
    refused(&["run", model, "--input", picture, "--isa", "mmx"], &["reference, portable"]);
    refused(&["verify", model, "--inputs", "0"], &["--inputs"]);
    refused(&["eval", model, "--images", "x.npy", "--labels", "y.npy", "--limit", "0"], &["--limit"]);
}

#[test]
fn an_empty_variable_is_no_instruction_set() {
    let (model, picture) = (model(), sample("sample.png"));
    let args = ["run", &model, "--input", &picture, "--top", "1"];
    assert_eq!(dyadic_with(&args, Some("")).out, done(&args));
    let said = dyadic_with(&args, Some("mmx"));
    assert!(said.code == Some(2) && said.err.contains("DYADIC_ISA=mmx"), "{}", said.err);
    let listed = dyadic_with(&["inspect", &model], Some("portable")).out;
    assert!(listed.contains("layers (isa portable)") && !listed.contains("_avx2"), "{listed}");
}
