//! Pictures: decoded with limits, turned into NHWC pixels of the size and channel order that a network wants.

use std::io::Cursor;
use std::path::Path;

use dyadic_format::records::ChannelOrder;
use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Coordinates, Resize};
use dyadic_kernels::reference::bilinear_10bit;
use image::{ImageReader, Limits};

use crate::error::{Error, Result};

/// Pixels: height, width, channels (3 red-green-blue, or 1), row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub data: Vec<u8>,
}

/// Largest side of a picture.
const MAX_SIDE: u32 = 1 << 14;

/// Decodes a .png or .jpg file to red-green-blue.
pub fn read(path: &Path) -> Result<Pixels> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    decode(&bytes).map_err(|message| Error::file(path, message))
}

/// Decodes the bytes of a picture.
pub fn decode(bytes: &[u8]) -> std::result::Result<Pixels, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| format!("not a readable picture: {e}"))?.into_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Pixels { height, width, channels: 3, data: image.into_raw() })
}

impl Pixels {
    /// The pixels in the order a network wants; gray is the luma of ITU-R BT.601 in integers.
    pub fn ordered(self, order: ChannelOrder) -> Pixels {
        let rgb = self.channels == 3;
        let data = match order {
            ChannelOrder::Bgr if rgb => {
                self.data.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [b, g, r]).collect()
            }
            ChannelOrder::Gray if rgb => self.data.as_chunks::<3>().0.iter().map(|p| luma(*p)).collect(),
            ChannelOrder::Rgb | ChannelOrder::Bgr if !rgb => self.data.iter().flat_map(|&v| [v; 3]).collect(),
            ChannelOrder::Rgb | ChannelOrder::Bgr | ChannelOrder::Gray => self.data,
        };
        let channels = if order == ChannelOrder::Gray { 1 } else { 3 };
        Pixels { data, channels, ..self }
    }

    /// Resized: half-pixel bilinear without antialiasing, in integers.
    pub fn resized(self, height: usize, width: usize) -> Pixels {
        if (self.height, self.width) == (height, width) {
            return self;
        }
        let resize = Resize {
            batch: 1,
            input: [self.height, self.width],
            output: [height, width],
            channels: self.channels,
            elem: ElemType::U8,
            coordinates: Coordinates::HalfPixel,
        };
        let mut data = vec![0; height * width * self.channels];
        bilinear_10bit(&resize, &self.data, &mut data);
        Pixels { height, width, channels: self.channels, data }
    }
}

/// (299 r + 587 g + 114 b) / 1000 in 16-bit fixed point, rounded.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b);
    ((sum + (1 << 15)) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    static SAMPLE: &[u8] = include_bytes!("../sample/sample.png");

    #[test]
    fn damaged_pictures_are_read_or_refused() {
        assert_eq!(decode(SAMPLE).unwrap().data.len(), 48 * 48 * 3);
        for length in (0..SAMPLE.len()).step_by(7) {
            // A decoder may give what it has of a picture that is cut short near its end.
            let _ = decode(&SAMPLE[..length]);
        }
        for at in (0..SAMPLE.len()).step_by(5) {
            let mut damaged = SAMPLE.to_vec();
            damaged[at] ^= 0x55;
            let _ = decode(&damaged);
        }
        assert!(decode(b"").is_err());
        assert!(decode(b"<html></html>").is_err());
    }

    #[test]
    fn a_header_that_claims_a_huge_picture_is_refused() {
        let mut damaged = SAMPLE.to_vec();
        damaged[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        assert!(decode(&damaged).is_err());
    }

    #[test]
    fn gray_is_luma_and_bgr_is_reversed() {
        let pixels = Pixels { height: 1, width: 2, channels: 3, data: vec![255, 0, 0, 10, 20, 30] };
        assert_eq!(pixels.clone().ordered(ChannelOrder::Bgr).data, [0, 0, 255, 30, 20, 10]);
        assert_eq!(pixels.ordered(ChannelOrder::Gray).data, [76, 18]);
    }
}
