"""What each layer of Keras does at inference, in torch (keras.io/api/layers)."""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from common.support.errors import SubmissionError
from grading.readers.keras import images
from grading.readers.keras.activations import ACTIVATION_LAYERS, Step, activation
from grading.readers.keras.images import Shape, Weights
from grading.readers.keras.layer import OTHERWISE, Layer

_IDLE = {
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout"),
    *("GaussianNoise", "ActivityRegularization", "RandomFlip", "RandomRotation", "RandomZoom"),
    *("RandomTranslation", "RandomContrast", "RandomBrightness", "Identity"),
}


def steps_of(layer: Layer, shape: Shape, weights: Weights) -> Iterator[Step]:
    """Yield what a layer does with [N, *shape]. Raises SubmissionError if that is not known."""
    if layer.kind in _IDLE:
        return
    build = _LAYERS.get(layer.kind)
    if build is None:
        raise SubmissionError(f"{layer} is none of those that are computed here: {OTHERWISE}")
    yield from build(layer, shape, weights)
    layer.check_options()


def _rescaling(layer: Layer, *_: object) -> Iterator[Step]:
    scale, offset = layer.number("scale", 1.0), layer.number("offset", 0.0)
    yield Step(lambda x: x * scale + offset)


def _flatten(layer: Layer, shape: Shape, _: Weights) -> Iterator[Step]:
    is_first = layer.choice("data_format", "channels_last", "channels_first") != "channels_last"
    is_moved = is_first and len(shape) > 1
    yield Step(lambda x: (x.movedim(1, -1) if is_moved else x).flatten(start_dim=1))


def _reshape(layer: Layer, *_: object) -> Iterator[Step]:
    target = layer.option("target_shape")
    if not isinstance(target, list) or not all(type(n) is int for n in target):
        raise layer.refusal("target_shape")
    yield Step(lambda x: x.reshape(len(x), *target))


def _dense(layer: Layer, shape: Shape, weights: Weights) -> Iterator[Step]:
    units = layer.whole("units")
    has_bias = {"bias": (units,)} if layer.is_on("use_bias", True) else {}
    kernel, *bias = weights(layer, {"kernel": (shape[-1], units), **has_bias})
    yield Step(F.linear, kernel.T, *bias)
    yield from activation(layer)


def _batch_normalization(layer: Layer, shape: Shape, weights: Weights) -> Iterator[Step]:
    axis = layer.option("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or axis not in (-1, *range(1, len(shape) + 1)):
        raise layer.refusal("axis")
    size = shape[axis if axis < 0 else axis - 1]
    names = ["gamma"] if layer.is_on("scale", True) else []
    names += ["beta"] if layer.is_on("center", True) else []
    names += ["moving_mean", "moving_variance"]
    found = dict(zip(names, weights(layer, dict.fromkeys(names, (size,))), strict=True))
    deviation = torch.sqrt(found["moving_variance"] + layer.number("epsilon", 0.001))
    scale = found.get("gamma", torch.ones(size)) / deviation
    offset = found.get("beta", torch.zeros(size)) - found["moving_mean"] * scale
    yield Step(lambda x, a, b: (x.movedim(axis, -1) * a + b).movedim(-1, axis), scale, offset)


def _alone(layer: Layer, *_: object) -> Iterator[Step]:
    yield from activation(layer)


_LAYERS: dict[str, Callable[..., Iterator[Step]]] = {
    **ACTIVATION_LAYERS,
    "Activation": _alone,
    "Rescaling": _rescaling,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "Conv2D": images.conv,
    "DepthwiseConv2D": images.depthwise,
    "SeparableConv2D": images.depthwise,
    "MaxPooling2D": images.max_pooling,
    "AveragePooling2D": images.average_pooling,
    "GlobalMaxPooling2D": images.global_pooling,
    "GlobalAveragePooling2D": images.global_pooling,
    "ZeroPadding2D": images.zero_padding,
}
