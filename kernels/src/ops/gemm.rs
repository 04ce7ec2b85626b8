//! Convolution and fully connected layer as a matrix product.
