//! The two file formats of pictures, decoded to red-green-blue. Sizes are checked before anything is allocated.

use std::io::Cursor;
use std::path::Path;

use png::{ColorType, Decoder, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::Pixels;
use crate::error::{Error, Result};

/// Largest side of a picture and most pixels of one: beyond every camera in a car, and 200 MB at most once decoded.
const MAX_SIDE: usize = 1 << 14;
const MAX_PIXELS: usize = 1 << 26;

/// Most bytes that the PNG decoder may hold beside its result.
const MAX_SCRATCH: usize = 1 << 28;

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// Decodes a .png or .jpg file to red-green-blue.
pub fn read(path: &Path) -> Result<Pixels> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    decode(&bytes).map_err(|message| Error::file(path, message))
}

/// Decodes the bytes of a picture, told apart by their signature. Transparency and colour profiles are left out.
pub fn decode(bytes: &[u8]) -> std::result::Result<Pixels, String> {
    if bytes.starts_with(PNG_SIGNATURE) {
        decode_png(bytes).map_err(|e| format!("not a readable PNG: {e}"))
    } else if bytes.starts_with(JPEG_SIGNATURE) {
        decode_jpeg(bytes).map_err(|e| format!("not a readable JPEG: {e}"))
    } else {
        Err("not a picture: expected a PNG or a JPEG file".into())
    }
}

fn decode_png(bytes: &[u8]) -> std::result::Result<Pixels, String> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_SCRATCH });
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (height, width) = side_limits(reader.info().height as usize, reader.info().width as usize)?;
    let size = reader.output_buffer_size().ok_or("its size overflows")?;
    let mut data = vec![0; size];
    reader.next_frame(&mut data).map_err(|e| e.to_string())?;
    let data = match reader.output_color_type().0 {
        ColorType::Rgb => data,
        ColorType::Rgba => first_three::<4>(&data),
        ColorType::Grayscale => threefold::<1>(&data),
        ColorType::GrayscaleAlpha => threefold::<2>(&data),
        ColorType::Indexed => return Err("its palette was not expanded".into()),
    };
    Ok(Pixels { height, width, channels: 3, data })
}

fn decode_jpeg(bytes: &[u8]) -> std::result::Result<Pixels, String> {
    let options =
        DecoderOptions::default().set_strict_mode(false).set_max_width(MAX_SIDE).set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    let (height, width) = side_limits(height, width)?;
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let wanted = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let data = decoder.decode().map_err(|e| e.to_string())?;
    let data = if gray { threefold::<1>(&data) } else { data };
    if data.len() != height * width * 3 {
        return Err(format!("{} bytes of pixels where {height}x{width}x3 were expected", data.len()));
    }
    Ok(Pixels { height, width, channels: 3, data })
}

fn side_limits(height: usize, width: usize) -> std::result::Result<(usize, usize), String> {
    let sides = (1..=MAX_SIDE).contains(&height) && (1..=MAX_SIDE).contains(&width);
    if sides && height * width <= MAX_PIXELS {
        return Ok((height, width));
    }
    Err(format!(
        "{width} x {height} pixels where sides of 1 to {MAX_SIDE} and at most {MAX_PIXELS} pixels were expected"
    ))
}

/// The first three of every `N` bytes: colour without alpha.
fn first_three<const N: usize>(data: &[u8]) -> Vec<u8> {
    data.as_chunks::<N>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect()
}

/// The first of every `N` bytes three times: gray as colour.
fn threefold<const N: usize>(data: &[u8]) -> Vec<u8> {
    data.as_chunks::<N>().0.iter().flat_map(|p| [p[0]; 3]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static SAMPLE: &[u8] = include_bytes!("../../sample/sample.png");

    /// A slope with an edge, as JPEG.
    fn jpeg(color: jpeg_encoder::ColorType, channels: usize, progressive: bool) -> Vec<u8> {
        let pixel = |i: usize| if i % 24 < 12 { i as u8 } else { 255 - (i / 3) as u8 };
        let data: Vec<u8> = (0..24 * 20 * channels).map(|i| pixel(i / channels)).collect();
        let mut bytes = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
        encoder.set_progressive(progressive);
        encoder.encode(&data, 24, 20, color).unwrap();
        bytes
    }

    fn damage(bytes: &[u8]) {
        for length in (0..bytes.len()).step_by(7) {
            // A decoder may give what it has of a picture that is cut short near its end.
            let _ = decode(&bytes[..length]);
        }
        for at in (0..bytes.len()).step_by(5) {
            for bits in [0x01, 0x55, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= bits;
                let _ = decode(&damaged);
            }
        }
    }

    #[test]
    fn damaged_pictures_are_read_or_refused() {
        use jpeg_encoder::ColorType::{Cmyk, Luma, Rgb};
        assert_eq!(decode(SAMPLE).unwrap().data.len(), 48 * 48 * 3);
        damage(SAMPLE);
        for (color, channels, progressive) in
            [(Rgb, 3, false), (Rgb, 3, true), (Luma, 1, false), (Cmyk, 4, false)]
        {
            let bytes = jpeg(color, channels, progressive);
            let pixels = decode(&bytes).unwrap();
            assert_eq!((pixels.height, pixels.width, pixels.data.len()), (20, 24, 24 * 20 * 3));
            damage(&bytes);
        }
        for foreign in [&b""[..], b"<html></html>", b"GIF89a", PNG_SIGNATURE, JPEG_SIGNATURE] {
            assert!(decode(foreign).is_err());
        }
    }

    #[test]
    fn gray_pictures_become_gray_colours() {
        let pixels = decode(&jpeg(jpeg_encoder::ColorType::Luma, 1, false)).unwrap();
        assert!(pixels.data.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
        assert!(pixels.data.iter().any(|&v| v != pixels.data[0]));
    }

    #[test]
    fn every_kind_of_png_is_read_as_colour() {
        use png::{BitDepth, ColorType};
        for (color, depth, bytes, expected) in [
            (ColorType::Grayscale, BitDepth::One, vec![0b1000_0000], [255, 255, 255, 0, 0, 0]),
            (ColorType::Grayscale, BitDepth::Eight, vec![7, 9], [7, 7, 7, 9, 9, 9]),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, vec![7, 0, 9, 255], [7, 7, 7, 9, 9, 9]),
            (
                ColorType::Rgb,
                BitDepth::Sixteen,
                vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
                [1, 3, 5, 7, 9, 11],
            ),
            (ColorType::Rgba, BitDepth::Eight, vec![1, 2, 3, 0, 4, 5, 6, 9], [1, 2, 3, 4, 5, 6]),
            (ColorType::Indexed, BitDepth::Eight, vec![1, 0], [4, 5, 6, 1, 2, 3]),
        ] {
            let mut file = Vec::new();
            let mut encoder = png::Encoder::new(&mut file, 2, 1);
            encoder.set_color(color);
            encoder.set_depth(depth);
            if color == ColorType::Indexed {
                encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
            }
            encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
            assert_eq!(decode(&file).unwrap().data, expected, "{color:?} {depth:?}");
        }
    }

    #[test]
    fn a_header_that_claims_a_huge_picture_is_refused() {
        let mut damaged = SAMPLE.to_vec();
        damaged[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        assert!(decode(&damaged).is_err());
    }
}
