"""The description of a Keras model, which is JSON, as a row of layers."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.keras.layer import OTHERWISE, Layer

_MODELS = ("Sequential", "Functional", "Model")
# In names of groups a word begins where a large letter follows a small one.
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SHAPES = ("batch_shape", "batch_input_shape", "build_input_shape")  # by Keras' version

_Json = dict[str, Any]


class Description(NamedTuple):
    """The layers of a model in the order in which images pass them, and what goes in."""

    layers: list[Layer]
    input_shape: list[int | None]  # of an image
    input_dtype: str


def read_description(text: str) -> Description:
    """Return what the description of a model says.

    A model within the model is taken as the layers in it. Raises SubmissionError if they are no
    plain chain, one of them is a class of the author's own, or what goes in is not said.
    """
    try:
        model = json.loads(text)
        layers = list(_layers_of(model))
        places = [
            layers[0].config,
            *([model["config"]] if isinstance(model["config"], dict) else []),
        ]
        found = [place[key] for place in places for key in _SHAPES if place.get(key)]
        shape, dtype = found[0] if found else None, layers[0].config.get("dtype")
    except SubmissionError:
        raise
    except Exception as error:  # JSON of whatever form
        raise SubmissionError(
            "the description of the model is damaged, or not one that Keras writes: save it again "
            "with model.save('model.keras'), and upload it anew"
        ) from error
    if not isinstance(shape, list) or not all(n is None or type(n) is int for n in shape):
        raise SubmissionError(
            "the model does not say of which shape its images are: begin it with "
            "keras.Input(shape=(28, 28, 1)), and save it anew; or hand in predictions, "
            "np.save('predictions.npy', model.predict(x_test))"
        )
    if layers[0].kind != "InputLayer" or not isinstance(dtype, str):
        dtype = "float32"
    layers = [layer for layer in layers if layer.kind != "InputLayer"]
    return Description(layers, shape[1:], dtype)


def _layers_of(
    model: _Json, path: tuple[tuple[str, int], ...] = (), owner: str = ""
) -> Iterator[Layer]:
    """Yield the layers of a model, and of those in it, in order."""
    kind, config = model["class_name"], model["config"]
    if kind not in _MODELS or _is_custom(model):
        raise SubmissionError(
            f"the model is a class of its author's own ({quoted(kind)}), whose code is not in the "
            f"file: {OTHERWISE}"
        )
    # The oldest files have the list alone.
    entries = config if isinstance(config, list) else config["layers"]
    layers, counted = [], Counter[str]()
    for entry in entries:
        group = _WORDS.sub("_", entry["class_name"]).lower()
        place = (*path, (group, counted[group]))
        layers.append(Layer(entry["class_name"], entry["config"], place, owner))
        counted[group] += 1
    for number in range(len(layers)) if kind == "Sequential" else _order_of(config, layers):
        layer, entry = layers[number], entries[number]
        if layer.kind in _MODELS:
            yield from _layers_of(entry, layer.path, layer.owner)
        elif _is_custom(entry):
            raise SubmissionError(f"{layer} is a class of its author's own: {OTHERWISE}")
        else:
            yield layer


def _is_custom(entry: _Json) -> bool:
    """Tell a class that Keras does not have, whatever it is called; old files do not say."""
    module, registered = entry.get("module") or "keras", entry.get("registered_name")
    return module.split(".")[0] != "keras" or registered not in (None, entry["class_name"])


def _order_of(config: _Json, layers: list[Layer]) -> list[int]:
    """Return the numbers of a functional model's layers, from its input to its output."""
    numbers = {layer.name: number for number, layer in enumerate(layers)}
    (first, last) = (_only_end(config[key]) for key in ("input_layers", "output_layers"))
    before = {
        number: numbers[_source_of(entry["inbound_nodes"], layers[number])]
        for number, entry in enumerate(config["layers"])
        if layers[number].kind != "InputLayer"
    }
    order = [numbers[last]]
    while order[-1] in before and len(order) <= len(layers):
        order.append(before[order[-1]])
    beside = [layer for number, layer in enumerate(layers) if number not in order]
    if beside or order[-1] != numbers[first] or len(order) != len(layers):
        shown = f", {beside[0]} lies beside it" if beside else ""
        raise SubmissionError(
            f"the layers of the model are no chain from one input to one output{shown}: {OTHERWISE}"
        )
    return order[::-1]


def _only_end(ends: dict[str, Any] | list[Any]) -> str:
    """Return the name of the only layer that a model lists as its inputs or outputs."""
    listed = list(ends.values()) if isinstance(ends, dict) else ends
    listed = listed if isinstance(listed[0], list) else [listed]
    if len(listed) != 1:
        raise SubmissionError(
            f"the model has {len(listed)} inputs or outputs, expected one of each: {OTHERWISE}"
        )
    return str(listed[0][0])


def _source_of(nodes: list[Any], layer: Layer) -> str:
    """Return the name of the only layer whose answer goes into this one, which is used once."""
    node = nodes[0] if len(nodes) == 1 else []
    if isinstance(node, dict):  # of Keras 3
        arguments, options = node["args"], node["kwargs"]
        inputs = [a["config"]["keras_history"] if isinstance(a, dict) else None for a in arguments]
    else:
        inputs = [source[:3] for source in node]
        options = node[0][3] if node and len(node[0]) > 3 else {}
    # Such as training=True, with which dropout goes on.
    is_plain = all(value is None or value is False for value in options.values())
    if len(inputs) != 1 or not inputs[0] or inputs[0][2] != 0 or not is_plain:
        raise SubmissionError(
            f"{layer} does not take the answer of one layer, once and as it is: {OTHERWISE}"
        )
    return str(inputs[0][0])
