//! Pictures: decoded with limits, turned into NHWC pixels of the size and channel order that a network wants.

use dyadic_format::records::ChannelOrder;
use dyadic_kernels::ElemType;
use dyadic_kernels::params::{Coordinates, Resize};
use dyadic_kernels::reference::bilinear_10bit;

mod decode;

pub use decode::{decode, read};

/// Pixels: height, width, channels (3 red-green-blue, or 1), row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub data: Vec<u8>,
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

    #[test]
    fn gray_is_luma_and_bgr_is_reversed() {
        let pixels = Pixels { height: 1, width: 2, channels: 3, data: vec![255, 0, 0, 10, 20, 30] };
        assert_eq!(pixels.clone().ordered(ChannelOrder::Bgr).data, [0, 0, 255, 30, 20, 10]);
        assert_eq!(pixels.ordered(ChannelOrder::Gray).data, [76, 18]);
    }
}
