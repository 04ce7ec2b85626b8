fn main() {
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path).unwrap();
        for contract in
            [dyadic_compiler::quantize::Contract::Tflite, dyadic_compiler::quantize::Contract::Dyadic]
        {
            let options = dyadic_compiler::Options { contract, ..Default::default() };
            match dyadic_compiler::compile(&bytes, &options) {
                Ok(c) => {
                    let b = c.to_bytes();
                    let mut v = vec![0u8; b.len() + 64];
                    let off = v.as_ptr().align_offset(64);
                    v[off..off + b.len()].copy_from_slice(&b);
                    let view = dyadic_format::ModelView::open(&v[off..off + b.len()]);
                    println!(
                        "{path} {} bytes arena {} ops {} {:?} {:?}",
                        b.len(),
                        c.contents.arena_bytes,
                        c.contents.operators.len(),
                        c.notes,
                        view.map(|_| ()).map_err(|e| e.to_string())
                    );
                }
                Err(e) => println!("{path}: {e}"),
            }
        }
    }
}
