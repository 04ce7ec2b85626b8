//! Makes `../src/generated.rs` and `../src/fields.rs` of `../onnx.proto`.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};

fn main() -> Result<(), Box<dyn Error>> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = protox::compile(["onnx.proto"], [&schema])?;
    let file = files.file.first_mut().ok_or("no file")?;
    // The texts of the definition stay in the definition: they are no Rust documentation.
    file.source_code_info = None;
    std::fs::write(schema.join("src/fields.rs"), table(&file.message_type)?)?;

    let out = schema.join("generate/target/out");
    std::fs::create_dir_all(&out)?;
    let mut config = prost_build::Config::new();
    // Rare and large: boxed, an attribute is a quarter of the size.
    for field in ["t", "g", "sparse_tensor", "tp"] {
        config.boxed(format!(".onnx.AttributeProto.{field}"));
    }
    config.out_dir(&out).compile_fds(files)?;
    std::fs::rename(out.join("onnx.rs"), schema.join("src/generated.rs"))?;
    std::fs::remove_dir(out)?;
    Ok(())
}

/// All messages with their Rust paths and full names, the nested ones after the one they are nested in.
fn flatten<'a>(
    messages: &'a [DescriptorProto],
    outer: (&str, &str),
    all: &mut Vec<(String, String, &'a DescriptorProto)>,
) {
    for message in messages {
        let full = format!("{}.{}", outer.0, message.name());
        let path = format!("{}{}", outer.1, message.name());
        let module = format!("{}{}::", outer.1, snake(message.name()));
        all.push((full.clone(), path, message));
        flatten(&message.nested_type, (&full, &module), all);
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

fn table(messages: &[DescriptorProto]) -> Result<String, Box<dyn Error>> {
    let mut all = Vec::new();
    flatten(messages, (".onnx", ""), &mut all);
    let place = |name: &str| all.iter().position(|(full, ..)| full == name).ok_or(name.to_owned());
    let mut out = String::from("// Made by ../generate of onnx.proto. Never edit.\n\n");
    out += "use super::{FieldInfo, Kind, MessageInfo};\n\n";
    writeln!(out, "/// Place of `ModelProto`.\npub const MODEL: usize = {};\n", place(".onnx.ModelProto")?)?;
    out += "/// Every message of the definition.\npub static MESSAGES: &[MessageInfo] = &[\n";
    for (full, path, message) in &all {
        let name = full.trim_start_matches(".onnx.");
        writeln!(out, "    MessageInfo {{ name: {name:?}, size: size_of::<super::{path}>(), fields: &[")?;
        let mut fields: Vec<&FieldDescriptorProto> = message.field.iter().collect();
        fields.sort_by_key(|field| field.number());
        for field in fields {
            let kind = match field.r#type() {
                Type::Int32 | Type::Enum => "Kind::Varint(4)".to_owned(),
                Type::Int64 | Type::Uint64 => "Kind::Varint(8)".to_owned(),
                Type::Float => "Kind::Fixed32".to_owned(),
                Type::Double => "Kind::Fixed64".to_owned(),
                Type::String | Type::Bytes => "Kind::Bytes".to_owned(),
                Type::Message => format!("Kind::Message({})", place(field.type_name())?),
                other => return Err(format!("{name}.{}: no kind for {other:?}", field.name()).into()),
            };
            let (number, name) = (field.number(), field.name());
            let repeated = field.label() == Label::Repeated;
            writeln!(
                out,
                "        FieldInfo {{ number: {number}, name: {name:?}, repeated: {repeated}, kind: {kind} }},"
            )?;
        }
        out += "    ] },\n";
    }
    out += "];\n";
    Ok(out)
}
