"""What a network has learned, looked at from inside; for networks of linear layers."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from common.data.arrays import LabelledImages
from common.data.pixels import encode_pixels
from common.loops import Batches
from evaluations.rows import LogitAnswers

_UNITS, _POINTS, _SEED = 9, 250, 0

# Side of the square that hides a part of a digit, in pixels: about as wide as a stroke is long.
_PATCH = 5


class _Layer(NamedTuple):
    """A linear layer and what goes into it, float32 [N, in_features], for all images."""

    linear: nn.Linear
    inputs: Tensor


def inspect_network(
    model: nn.Module,
    answers: LogitAnswers,
    errors: list[dict[str, Any]],
    batches: Batches,
    test_set: LabelledImages,
) -> dict[str, Any] | None:
    """Return what the section "What they learned" shows; None if no linear layer sees the pixels.

    ``errors`` are those of the run's row that are shown, each of which gets its decisive pixels;
    ``batches`` are those of the test images, in order. Weights and decisive pixels are images whose
    value 128 stands for 0, scaled each by itself.
    """
    layers = _layers(model, batches)
    if len(layers) < 2 or layers[0].linear.in_features != test_set.images[0].size:
        return None
    hidden = [layer.inputs for layer in layers[1:]]
    return {
        "units": _most_used_units(layers[0], layers[1], batches.targets),
        "layers": [
            {
                "units": values.shape[1],
                "dead": int((values == 0).all(dim=0).sum()),
                "active": 100 * float((values != 0).float().mean()),
            }
            for values in hidden
        ],
        "decisive": [_decisive_pixels(model, error, batches) for error in errors],
        "plane": _plane(hidden[-1].numpy(force=True), answers, test_set),
    }


@torch.inference_mode()
def _layers(model: nn.Module, batches: Batches) -> list[_Layer]:
    """Return the linear layers in the order in which they compute."""
    seen: dict[nn.Linear, list[Tensor]] = {}
    hooks = [
        module.register_forward_pre_hook(
            lambda linear, inputs: seen.setdefault(linear, []).append(inputs[0])
        )
        for module in model.modules()
        if isinstance(module, nn.Linear)
    ]
    model.eval()
    for images, _ in batches:
        model(images)
    for hook in hooks:
        hook.remove()
    return [_Layer(linear, torch.cat(inputs)) for linear, inputs in seen.items()]


def _most_used_units(first: _Layer, second: _Layer, targets: Tensor) -> list[dict[str, Any]]:
    """Return the units of the first layer that add most to the next one, with their weights."""
    mean = second.inputs.abs().mean(dim=0)
    used = (mean * second.linear.weight.norm(dim=0)).argsort(descending=True)[:_UNITS]
    classes = targets.unique()
    by_class = torch.stack([second.inputs[targets == label].mean(dim=0) for label in classes])
    return [
        {
            "class": int(classes[by_class[:, unit].argmax()]),
            "weights": _signed_pixels(first.linear.weight[unit].numpy(force=True)),
        }
        for unit in used.tolist()
    ]


@torch.inference_mode()
def _decisive_pixels(model: nn.Module, error: dict[str, Any], batches: Batches) -> str:
    """Return what hiding a part of a misclassified image would change.

    A square of background is moved over the image (Zeiler and Fergus 2014, ECCV, section 4.2).
    Positive are the places without which the lead of the wrong answer over the right one shrinks.
    """
    image = batches.images[error["index"]]
    hidden = _with_patches(image, background=batches.images.min())
    logits = model(torch.cat([image[None], hidden]))
    lead = logits[:, error["predicted"]] - logits[:, error["true"]]
    return _signed_pixels((lead[0] - lead[1:]).numpy(force=True))


def _with_patches(image: Tensor, background: Tensor) -> Tensor:
    """Return an image [1, side, side] with a square around each pixel hidden: [side**2, ...]."""
    side = image.shape[-1]
    place = torch.arange(side, device=image.device)
    near = (place[:, None] - place).abs() <= _PATCH // 2
    hidden = near[:, None, :, None] & near[None, :, None, :]
    return torch.where(hidden.reshape(-1, 1, side, side), background, image)


def _plane(
    hidden: np.ndarray, answers: LogitAnswers, test_set: LabelledImages
) -> list[dict[str, Any]]:
    """Return some images as points, by the linear map that best puts the classes on a circle.

    ``hidden`` is the last hidden layer, float32 [N, units]. The map is fitted by least squares on
    all test images; of wrong answers at most a fifth of the points.
    """
    angles = 2 * np.pi * np.arange(len(test_set.dataset.classes)) / len(test_set.dataset.classes)
    circle = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    inputs = np.column_stack([hidden, np.ones(len(hidden))])
    coefficients = np.linalg.lstsq(inputs, circle[test_set.targets], rcond=None)[0]
    is_right = answers.classes == test_set.targets
    generator = np.random.default_rng(_SEED)
    chosen = np.concatenate(
        [
            generator.permutation(np.flatnonzero(is_right))[:_POINTS],
            generator.permutation(np.flatnonzero(~is_right))[: _POINTS // 5],
        ]
    )
    return [
        {
            "x": round(float(x), 3),
            "y": round(float(y), 3),
            "true": int(test_set.targets[index]),
            "predicted": int(answers.classes[index]),
        }
        for index, (x, y) in zip(chosen, inputs[chosen] @ coefficients, strict=True)
    ]


def _signed_pixels(values: np.ndarray) -> str:
    """Return values of either sign as pixels: 128 is 0, the largest one is 1 or 255."""
    largest = float(np.abs(values).max()) or 1.0
    return encode_pixels(np.round(128 + 127 * values / largest))
