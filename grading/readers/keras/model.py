"""Keras' files of whole models, .keras and .h5, as networks in torch. Keras itself is never run."""

import io
import re
import zipfile
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from common.data.catalog import Sizes
from common.support.errors import SubmissionError
from common.support.text import shorten
from grading.readers.archives import unpack
from grading.readers.keras.activations import Step
from grading.readers.keras.description import Description, read_description
from grading.readers.keras.hdf5 import ANEW, Hdf5File, is_hdf5
from grading.readers.keras.images import Shape, Weights
from grading.readers.keras.layer import OTHERWISE, Layer
from grading.readers.keras.layers import steps_of
from grading.readers.weights.state_dicts import Checkpoint

_FIRST = b"metadata.json"  # what Keras puts into a zip first, behind a header of 30 bytes
_DESCRIPTION, _WEIGHTS = "config.json", "model.weights.h5"
_LAYERS, _OLD_LAYERS = "layers", "_layer_checkpoint_dependencies"
_PIXELS = ("uint8", "int32", "int64")
_BATCH_SIZE = 250  # convolutions in the order of Keras' axes need the more memory
_MOST_SHOWN = 80  # characters of the layers


def is_keras(content: bytes) -> bool:
    """Tell by a file's content whether it is one of Keras': HDF5, or a zip that begins so."""
    if is_hdf5(content) or content.startswith(_FIRST, 30):
        return True
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {_DESCRIPTION, _WEIGHTS} <= set(archive.namelist()[:100])
    except Exception:  # no zip file, or a broken one
        return False


def parse_keras(content: bytes, sizes: Sizes) -> tuple[Checkpoint, bool]:
    """Rebuild the network in a file, and tell whether it takes pixels from 0 to 255 as they are.

    Its softmax at the end, if there is one, is left out: what goes into it are logits. Raises
    SubmissionError if that is no chain of known layers, or takes no images of this size.
    """
    if is_hdf5(content):
        file = Hdf5File(content)
        text, weights = file.text("model_config"), partial(_weights_by_name, file)
        if text is None:
            raise SubmissionError(
                "an HDF5 file without the description of a model, such as weights alone: hand in "
                "the whole model, model.save('model.keras')"
            )
    else:
        try:
            members = dict(unpack(content))
        except SubmissionError as error:
            raise SubmissionError(f"not a file of Keras, or a damaged one: {ANEW}") from error
        if _DESCRIPTION not in members or _WEIGHTS not in members:
            raise SubmissionError(
                f"the file has no {_DESCRIPTION} with {_WEIGHTS} beside it, as files of Keras have:"
                f" {ANEW}"
            )
        text = members[_DESCRIPTION].decode("utf-8", "replace")
        weights = partial(_weights_by_number, Hdf5File(members[_WEIGHTS]))
    return _rebuilt(read_description(text), weights, sizes)


@torch.no_grad()
def _rebuilt(description: Description, weights: Weights, sizes: Sizes) -> tuple[Checkpoint, bool]:
    notes: list[str] = []
    steps = [_taking(description.input_shape, sizes.side)]
    values = steps[0](torch.zeros(1, 1, sizes.side, sizes.side))
    for layer in description.layers:
        try:
            for step in steps_of(layer, tuple(values.shape[1:]), weights):
                values = step(values)
                steps.append(step)
        except SubmissionError:
            raise
        except Exception as error:  # torch's, for sizes that cannot be
            raise SubmissionError(f"{layer} does not fit what is before it: {ANEW}") from error
        notes += [note for note in _notes_of(layer) if note not in notes]
    if steps[-1].is_softmax:
        steps.pop()
    takes_pixels = description.input_dtype in _PIXELS
    if takes_pixels:
        dtype = description.input_dtype
        notes.append(f"the input is {dtype}: pixels 0 to 255 went in as they are")
    kinds = ", ".join(layer.kind for layer in description.layers)
    model = _InBatches(*steps).eval()
    return Checkpoint(model, f"Keras: {shorten(kinds, _MOST_SHOWN)}", notes), takes_pixels


def _notes_of(layer: Layer) -> Iterator[str]:
    if layer.dtype() != "float32":
        yield f"{layer.dtype()} layers were computed as float32"
    if layer.kind == "AveragePooling2D" and layer.config.get("padding") == "same":
        yield "its averages at the borders are those of TensorFlow and JAX: Keras' on torch differ"


class _InBatches(nn.Sequential):
    """Steps, one after the other, on a few images at a time."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the answers to all inputs."""
        answer = super().forward
        return torch.cat([answer(batch) for batch in inputs.split(_BATCH_SIZE)])


def _taking(shape: list[int | None], side: int) -> Step:
    """Return the step that brings images into the shape that the model takes."""
    forms = [(side, side, 1), (side, side), (side**2,), (1, side, side)]
    fitting = [
        form
        for form in forms
        if len(form) == len(shape)
        and all(size in (None, wanted) for size, wanted in zip(shape, form, strict=True))
    ]
    if len(fitting) != 1:
        expected = ", ".join(str(["N", *form]).replace("'", "") for form in forms)
        shown = str(["N", *shape[:6]]).replace("'", "")
        raise SubmissionError(
            f"the model takes images of shape {shown}, expected one of {expected}: hand in "
            "predictions, np.save('predictions.npy', model.predict(x_test)), or a model for such "
            "images"
        )
    return Step(lambda x: x.reshape(len(x), *fitting[0]).float())


def _weights_by_number(file: Hdf5File, layer: Layer, shapes: dict[str, Shape]) -> list[Tensor]:
    """Return weights of a .keras file, which numbers the layers of a kind and their weights."""
    path: list[str] = []
    for kind, number in layer.path:
        path += _group_of(file, path, kind, number)
    path.append("vars")
    found = [file.tensor([*path, str(n)], shape) for n, shape in enumerate(shapes.values())]
    if (count := len(file.names(path))) != len(shapes):
        raise SubmissionError(
            f"{layer} has {count} weights, expected {len(shapes)} ({', '.join(shapes)}): "
            f"{OTHERWISE}"
        )
    return found


def _group_of(file: Hdf5File, path: list[str], kind: str, number: int) -> list[str]:
    if file.names([*path, _LAYERS]):
        return [_LAYERS, f"{kind}_{number}" if number else kind]
    # Keras 2.13 counts layers with weights twice.
    names = [
        n for n in file.names([*path, _OLD_LAYERS]) if re.fullmatch(rf"{re.escape(kind)}(_\d+)?", n)
    ]
    names.sort(key=lambda name: (len(name), name))
    return [_OLD_LAYERS, names[number] if number < len(names) else kind]


def _weights_by_name(file: Hdf5File, layer: Layer, shapes: dict[str, Shape]) -> list[Tensor]:
    """Return weights of an .h5 file, whose names end in those of the layer and of the weight."""
    group = ["model_weights", *layer.owner.split("/")]
    names = file.weight_names(group)
    found = []
    for weight, shape in shapes.items():
        alike = [n for n in names if _is_named(n, weight)]
        if len(alike) > 1:  # in a model within the model
            alike = [n for n in alike if f"/{n}".rpartition("/")[0].endswith(f"/{layer.name}")]
        if len(alike) != 1:
            raise SubmissionError(f"{layer} has no {weight} of its own in the file: {ANEW}")
        found.append(file.tensor([*group, *alike[0].split("/")], shape))
    return found


def _is_named(path: str, weight: str) -> bool:
    # Keras 2 marks the first output of an operation by ":0", and has depthwise_kernel for kernel.
    last = path.rpartition("/")[2].removesuffix(":0")
    return last == weight or (weight == "depthwise_kernel" and last == "kernel")
