"""Layers of Keras that take images: convolutions and pooling.

Tensors keep the order of axes that Keras gives them, channels last unless a layer says otherwise.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from grading.readers.keras.activations import Step, activation
from grading.readers.keras.layer import Layer

Shape = tuple[int, ...]
# Gives the weights of a layer, by their names in Keras and the shapes that they must have.
Weights = Callable[[Layer, dict[str, Shape]], list[Tensor]]


def _on_images(layer: Layer, function: Callable[..., Tensor], *weights: Tensor) -> Step:
    """Return a step of a function that takes [N, C, H, W]."""
    if layer.choice("data_format", "channels_last", "channels_first") == "channels_first":
        return Step(function, *weights)
    return Step(lambda x, *w: function(x.movedim(-1, 1), *w).movedim(1, -1), *weights)


def _channels(layer: Layer, shape: Shape) -> int:
    return shape[-1] if layer.config.get("data_format") != "channels_first" else shape[0]


class _Window:
    """The size of a window, its steps, and what is put around an image first."""

    def __init__(self, layer: Layer, size: str, strides: object = 1) -> None:
        self.size = layer.pair(size)
        self.strides = layer.pair("strides", strides or self.size)
        self.dilation = layer.pair("dilation_rate", 1)
        self.is_same = layer.choice("padding", "valid", "same") == "same"

    def around(self, images: Tensor, value: float = 0.0) -> Tensor:
        """Put borders around [N, C, H, W] where padding is "same".

        As in TensorFlow the answer has ceil(size / stride) rows, and of an odd number of further
        rows the one more is at the end (tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
        """
        if not self.is_same:
            return images
        borders: list[int] = []
        axes = zip(images.shape[2:], self.size, self.strides, self.dilation, strict=True)
        for length, size, stride, dilation in axes:
            reach = (size - 1) * dilation + 1
            more = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
            borders = [more // 2, more - more // 2, *borders]  # torch begins with the last axis
        return F.pad(images, borders, value=value)


def conv(layer: Layer, shape: Shape, weights: Weights) -> Iterator[Step]:
    """Yield Conv2D."""
    window, inputs = _Window(layer, "kernel_size"), _channels(layer, shape)
    filters, groups = layer.whole("filters"), layer.whole("groups", 1)
    shapes: dict[str, Shape] = {"kernel": (*window.size, inputs // groups, filters)}
    shapes |= {"bias": (filters,)} if layer.is_on("use_bias", True) else {}
    kernel, *bias = weights(layer, shapes)
    yield _convolution(layer, window, kernel.permute(3, 2, 0, 1), *bias, groups=groups)
    yield from activation(layer)


def _convolution(layer: Layer, window: _Window, kernel: Tensor, *bias: Tensor, groups: int) -> Step:
    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        inputs = window.around(x)
        return F.conv2d(inputs, weight, bias, window.strides, 0, window.dilation, groups)

    return _on_images(layer, convolve, kernel.contiguous(), *bias)


def depthwise(layer: Layer, shape: Shape, weights: Weights) -> Iterator[Step]:
    """Yield DepthwiseConv2D, or SeparableConv2D, which mixes the channels after that."""
    window, inputs = _Window(layer, "kernel_size"), _channels(layer, shape)
    each = layer.whole("depth_multiplier", 1)
    if layer.whole("groups", 1) != 1:
        raise layer.refusal("groups")
    is_separable = layer.kind == "SeparableConv2D"
    outputs = layer.whole("filters") if is_separable else inputs * each
    shapes: dict[str, Shape] = {"depthwise_kernel": (*window.size, inputs, each)}
    shapes |= {"pointwise_kernel": (1, 1, inputs * each, outputs)} if is_separable else {}
    shapes |= {"bias": (outputs,)} if layer.is_on("use_bias", True) else {}
    depthwise, *rest = weights(layer, shapes)
    kernel = depthwise.permute(2, 3, 0, 1).reshape(inputs * each, 1, *window.size)
    if is_separable:
        yield _convolution(layer, window, kernel, groups=inputs)
        pointwise, *bias = rest
        yield _on_images(layer, F.conv2d, pointwise.permute(3, 2, 0, 1).contiguous(), *bias)
    else:
        yield _convolution(layer, window, kernel, *rest, groups=inputs)
    yield from activation(layer)


def max_pooling(layer: Layer, *_: object) -> Iterator[Step]:
    """Yield MaxPooling2D."""
    window = _Window(layer, "pool_size", None)
    yield _on_images(
        layer,
        lambda x: F.max_pool2d(window.around(x, -math.inf), window.size, window.strides),
    )


def average_pooling(layer: Layer, *_: object) -> Iterator[Step]:
    """Yield AveragePooling2D."""
    window = _Window(layer, "pool_size", None)

    def average(x: Tensor) -> Tensor:
        # What is put around does not count.
        pooled = F.avg_pool2d(window.around(x), window.size, window.strides)
        counted = window.around(torch.ones(1, 1, *x.shape[2:]))
        return pooled / F.avg_pool2d(counted, window.size, window.strides)

    yield _on_images(layer, average)


def global_pooling(layer: Layer, *_: object) -> Iterator[Step]:
    """Yield GlobalMaxPooling2D or GlobalAveragePooling2D."""
    is_first = layer.choice("data_format", "channels_last", "channels_first") == "channels_first"
    axes, keeps = (2, 3) if is_first else (1, 2), layer.is_on("keepdims", False)
    pool = torch.amax if layer.kind.startswith("GlobalMax") else torch.mean
    yield Step(lambda x: pool(x, dim=axes, keepdim=keeps))


def zero_padding(layer: Layer, *_: object) -> Iterator[Step]:
    """Yield ZeroPadding2D."""
    value = layer.option("padding", 1)
    sides = value if isinstance(value, list) else [value, value]
    pairs = [side if isinstance(side, list) else [side, side] for side in sides]
    borders = [n for pair in reversed(pairs) for n in pair]  # torch begins with the last axis
    if len(borders) != 4 or not all(type(n) is int and 0 <= n < 2**15 for n in borders):
        raise layer.refusal("padding")
    yield _on_images(layer, lambda x: F.pad(x, borders))
