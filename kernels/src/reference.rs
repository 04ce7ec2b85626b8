//! The specification in code: one naive, safe function per operation. Sums run in 64 bits, so nothing here
//! depends on an overflow proof. `ARITHMETIC.md` states the same in formulas; where the two differ, one is a bug.
//!
//! Each function panics when a slice is shorter than its parameters say; the runtime checks every length once, at
//! load.

mod add;
mod argmax;
mod conv2d;
mod depthwise;
mod fully_connected;
mod mean;
mod movement;
mod mul;
mod pool;
mod requantize;
mod resize;
pub(crate) mod resize_single;
pub(crate) mod softmax;
mod table;

pub use add::{add, add_equal_shapes, sum as add_value};
pub use argmax::argmax;
pub use conv2d::conv2d;
pub use depthwise::depthwise;
pub use fully_connected::fully_connected;
pub use mean::mean;
pub use movement::{concat, copy_strided, gather, pad, tile};
pub use mul::mul;
pub use pool::{average_pool, max_pool};
pub use requantize::requantize;
pub use resize::{bilinear_10bit, bilinear_rational, nearest, nearest_index};
pub use resize_single::{bilinear_single, nearest_single, nearest_single_index};
pub use softmax::softmax;
pub use table::{channel_table, table};
