"""The sample network: a residual block, depthwise-separable blocks and inverted residual blocks, ReLU6 throughout."""

import keras
from keras import layers


def normed(x, relu: bool = True):
    x = layers.BatchNormalization(momentum=0.98, epsilon=1e-3)(x)
    return layers.ReLU(6.0)(x) if relu else x


def conv(x, channels: int, size: int, stride: int = 1, relu: bool = True):
    x = layers.Conv2D(channels, size, stride, padding="same", use_bias=False)(x)
    return normed(x, relu)


def depthwise(x, stride: int = 1):
    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
    return normed(x)


def residual(x, channels: int):
    """Two 3x3 convolutions and the way past them, ReLU6 after the addition."""
    branch = conv(x, channels, 3)
    branch = conv(branch, channels, 3, relu=False)
    return layers.ReLU(6.0)(layers.Add()([x, branch]))


def separable(x, channels: int, stride: int):
    """Depthwise 3x3, then pointwise."""
    return conv(depthwise(x, stride), channels, 1)


def inverted_residual(x, channels: int, expansion: int):
    """Pointwise to more channels, depthwise 3x3, pointwise back without ReLU, added to the input."""
    branch = conv(x, channels * expansion, 1)
    branch = conv(depthwise(branch), channels, 1, relu=False)
    return layers.Add()([x, branch])


def build(side: int, classes: int) -> keras.Model:
    """Input (side, side, 3) in 0..1, output softmax over the classes."""
    image = keras.Input((side, side, 3))
    x = conv(image, 24, 3, stride=2)
    x = residual(x, 24)
    x = separable(x, 48, stride=2)
    x = inverted_residual(x, 48, 3)
    x = inverted_residual(x, 48, 3)
    x = separable(x, 96, stride=2)
    x = inverted_residual(x, 96, 3)
    x = inverted_residual(x, 96, 3)
    x = conv(x, 160, 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x))
