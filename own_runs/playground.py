"""playground.json: the better model made small enough for a page, and digits to try it on."""

import base64
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import DatasetSpec
from common.data.pixels import decode_pixels, encode_pixels
from common.loops import Batches, predict_logits
from common.metrics import confidence_and_correct, proportion
from common.models import MNISTClassifier
from common.support.cli import command_line
from common.support.errors import UserError
from common.support.files import write_json
from common.transforms import normalize
from evaluations.rows import LogitAnswers, most_confident_errors
from own_runs.measure import Measured

# Training images of each digit to look for neighbours among, at 1.1 MB of page for each 100. The
# nearest of them has the test image's own digit in 88.7 % of cases with 100, in 91.7 % with 200
# (python -m bench.checks.playground).
PER_DIGIT = 100
SEED = 42

_RECOGNISED_PER_DIGIT = 2

# Training images that show what a unit looks for.
_STRONGEST = 6

# The greatest weight of a row becomes 127 or -127. -128 is not used, so that the range is symmetric
# and no offset has to be stored.
_LEVELS = 127


def write_playground(
    path: Path,
    best: Measured | None,
    test_set: LabelledImages,
    batches: Batches,
    spec: DatasetSpec,
    data_dir: Path,
) -> str:
    """Write what the page to draw on is made from; return a line that says where it is.

    Where the page has no model that it could run, an earlier file is removed, and the line says why
    there is none.
    """
    try:
        if best is None:
            raise UserError("no run that held out validation images could be measured")
        training_images = load_split(spec, data_dir, "train")
        content = describe_playground(best, test_set, batches, training_images)
    except UserError as error:
        path.unlink(missing_ok=True)
        return f"No playground: {error}\n"
    write_json(path, content)
    accuracy = content["quantized_network"]["accuracy"]
    return f"Playground: {path}, {accuracy:.2f} % with weights of 8 bits  (report.py renders it)\n"


def describe_playground(
    best: Measured, test_set: LabelledImages, batches: Batches, training_images: LabelledImages
) -> dict[str, Any]:
    """Return what ``playground.json`` holds; ``batches`` are those of the test images, in order.

    Raises UserError if the run's network is not one of the two that the page can run.
    """
    model, row = best.model, best.row
    if not isinstance(model, MNISTClassifier):
        raise UserError(
            f"{row['name']} is a {type(model).__name__}, and the page runs MNISTClassifier and "
            "ImprovedMNISTClassifier alone"
        )
    layers = quantize_network(model)
    network = dequantized_network(layers)
    training_digits = sample_training_digits(training_images)
    pixels = [decode_pixels(image["pixels"]) for image in training_digits["images"]]
    inputs = normalize(torch.from_numpy(np.stack(pixels)), test_set.dataset.normalization)
    strongest = strongest_images(network, inputs)
    logits = predict_logits(network.to(batches.targets.device), batches).numpy()
    predicted, predicted_before = logits.argmax(axis=1), best.answers.classes
    correct = int((predicted == test_set.targets).sum())
    correct_before = int((predicted_before == test_set.targets).sum())
    return {
        "command": command_line(),
        "run": {key: row[key] for key in ("name", "sha256", "architecture", "parameters")},
        "test_set": {
            "title": test_set.dataset.title,
            "name": test_set.name,
            "size": len(test_set),
            "md5": test_set.md5,
        },
        "float_network": proportion(correct_before, len(test_set)),
        "quantized_network": {
            **proportion(correct, len(test_set)),
            "changed_answers": int((predicted != predicted_before).sum()),
        },
        "network": {
            "pixel_mean": test_set.dataset.normalization.mean,
            "pixel_std": test_set.dataset.normalization.std,
            "layers": [layer.as_json() for layer in layers],
        },
        "test_digits": {
            "misclassified": most_confident_errors(LogitAnswers(logits), test_set),
            "recognised": first_recognised(logits, test_set),
        },
        "training_digits": training_digits,
        "strongest_images": strongest,
    }


def strongest_images(network: nn.Sequential, inputs: torch.Tensor) -> list[list[list[int]]]:
    """Return which of ``inputs`` (normalised, [N, 1, 28, 28]) activate a hidden unit most.

    For each unit of each hidden layer their places, the strongest first. None of them leaves it at
    0, so that there may be fewer than six.
    """
    strongest, values = [], inputs
    with torch.inference_mode():
        for module in network:
            values = module(values)
            if isinstance(module, nn.ReLU):
                greatest, places = values.T.topk(min(_STRONGEST, len(values)))
                active = (greatest > 0).sum(dim=1).tolist()
                units = zip(places.tolist(), active, strict=True)
                strongest.append([unit[:count] for unit, count in units])
    return strongest


def sample_training_digits(
    training_images: LabelledImages, per_digit: int = PER_DIGIT
) -> dict[str, Any]:
    """Draw ``per_digit`` of the training images of each digit at random, always the same ones."""
    targets = training_images.targets
    per_digit = min(per_digit, *np.bincount(targets).tolist())
    generator = np.random.default_rng(SEED)
    chosen = [
        np.sort(generator.choice(np.flatnonzero(targets == digit), per_digit, replace=False))
        for digit in range(len(training_images.dataset.classes))
    ]
    return {
        "name": training_images.name,
        "size": len(targets),
        "per_digit": per_digit,
        "seed": SEED,
        "images": [
            {"index": int(i), "digit": digit, "pixels": encode_pixels(training_images.images[i])}
            for digit, indices in enumerate(chosen)
            for i in indices
        ],
    }


def first_recognised(logits: np.ndarray, test_set: LabelledImages) -> list[dict[str, Any]]:
    """Return the first test images of each digit that the network recognises."""
    confidence, correct = confidence_and_correct(logits, test_set.targets)
    return [
        {
            "index": int(i),
            "true": digit,
            "predicted": digit,
            "probability": float(confidence[i]),
            "pixels": encode_pixels(test_set.images[i]),
        }
        for digit in range(len(test_set.dataset.classes))
        for i in np.flatnonzero(correct & (test_set.targets == digit))[:_RECOGNISED_PER_DIGIT]
    ]


class QuantizedLayer(NamedTuple):
    """A linear layer whose weights are ``levels * scales[:, None]``, up to rounding."""

    levels: np.ndarray  # int8 [outputs, inputs]
    scales: np.ndarray  # float32 [outputs]
    biases: np.ndarray  # float32 [outputs]

    def as_json(self) -> dict[str, Any]:
        """Return the layer as JSON values: arrays in base64, row by row, little-endian."""
        outputs, inputs = self.levels.shape
        encoded = {name: _encode(array) for name, array in self._asdict().items()}
        return {"inputs": inputs, "outputs": outputs, **encoded}


def quantize_network(model: MNISTClassifier) -> list[QuantizedLayer]:
    """Return the layers of one of the two networks, between which the page puts ReLU.

    Each row of weights, those of one unit, gets a scale of its own (Krishnamoorthi 2018,
    arXiv:1806.08342, section 2: symmetric, per channel). Biases and activations stay float32.
    """
    return [_quantize(*_folded(model, layer)) for layer in range(1, model.num_hidden + 2)]


def dequantized_network(layers: list[QuantizedLayer]) -> nn.Sequential:
    """Return the network of ``layers`` in float32: images [N, 1, 28, 28] to logits [N, 10]."""
    modules: list[nn.Module] = [nn.Flatten()]
    for levels, scales, biases in layers:
        linear = nn.Linear(levels.shape[1], levels.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(levels * scales[:, None]))
            linear.bias.copy_(torch.from_numpy(biases))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def _folded(model: MNISTClassifier, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and biases (float64) of a layer together with what normalises its outputs.

    In evaluation BatchNorm1d is gamma * (x - mean) / sqrt(var + eps) + beta, a linear function of
    what the Linear layer before it puts out, so the two are one Linear layer.
    """
    linear = getattr(model, f"fc{layer}")
    weights, biases = _float64(linear.weight), _float64(linear.bias)
    norm = getattr(model, f"bn{layer}", None)
    if norm is None:
        return weights, biases
    factors = _float64(norm.weight) / np.sqrt(_float64(norm.running_var) + norm.eps)
    shifted = (biases - _float64(norm.running_mean)) * factors + _float64(norm.bias)
    return weights * factors[:, None], shifted


def _quantize(weights: np.ndarray, biases: np.ndarray) -> QuantizedLayer:
    scales = (np.abs(weights).max(axis=1) / _LEVELS).astype(np.float32)
    scales[scales == 0] = 1  # a unit without weights has levels of 0 on any scale
    levels = np.clip(np.rint(weights / scales[:, None]), -_LEVELS, _LEVELS).astype(np.int8)
    return QuantizedLayer(levels, scales, biases.astype(np.float32))


def _float64(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _encode(array: np.ndarray) -> str:
    little_endian = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(little_endian.tobytes()).decode()
