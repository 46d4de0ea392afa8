"""Files as Keras writes them, made with h5py and json alone."""

import io
import json
import re
import zipfile

import h5py
import numpy as np

GENERATOR = np.random.default_rng(3)
IMAGES = GENERATOR.random((6, 1, 28, 28), dtype=np.float32)


def values(*shape):
    """Return numbers that are the same everywhere."""
    numbers = np.sin(np.arange(np.prod(shape), dtype=np.float64) * 12.9898) / np.sqrt(shape[0])
    return numbers.reshape(shape).astype(np.float32)


def layer(kind, weights=None, **config):
    """Return a layer: its class, its options, and its weights by name."""
    return kind, config, dict(weights or {})


def dense(inputs, units, **config):
    weights = {"kernel": values(inputs, units), "bias": values(units)}
    return layer("Dense", weights, units=units, **config)


def conv(kernel, inputs, filters, **config):
    weights = {"kernel": values(*kernel, inputs, filters), "bias": values(filters)}
    return layer("Conv2D", weights, filters=filters, kernel_size=list(kernel), **config)


def norm(size, **config):
    weights = {
        "gamma": 1 + values(size),
        "beta": values(size),
        "moving_mean": 0.1 * values(size),
        "moving_variance": 0.5 + values(size) ** 2,
    }
    return layer("BatchNormalization", weights, axis=-1, **config)


FLAT = layer("Flatten")
LINEAR = [FLAT, dense(784, 10)]


def described(layers, shape, version="3", functional=False):
    """Return a model's description, of Keras "2", of Keras "3" or of its .h5 files, "h5"."""
    key = "batch_input_shape" if version == "2" else "batch_shape"
    known = {"module": "keras.layers", "registered_name": None} if version == "3" else {}
    first = layer("InputLayer", **{key: [None, *shape], "dtype": "float32"})
    entries, before = [], None
    for number, (kind, config, _) in enumerate([first, *layers]):
        name = f"{kind.lower()}_{number}"
        entry = {**known, "class_name": kind, "config": {"name": name, **config}}
        if functional:
            entry |= {"name": name, "inbound_nodes": node_of(before, version)}
        entries.append(entry)
        before = name
    config = {"name": "model", "layers": entries}
    if functional:
        config |= {"input_layers": [["inputlayer_0", 0, 0]], "output_layers": [before, 0, 0]}
    known = {"module": "keras", "registered_name": None} if version == "3" else {}
    return {**known, "class_name": "Functional" if functional else "Sequential", "config": config}


def node_of(before, version):
    if before is None:
        return []
    if version == "2":
        return [[[before, 0, 0, {}]]]
    config = {"shape": [None], "dtype": "float32", "keras_history": [before, 0, 0]}
    tensor = {"class_name": "__keras_tensor__", "config": config}
    return [{"args": [tensor], "kwargs": {"mask": None}}]


def keras_file(layers, shape=(28, 28), old_groups=False, **options):
    """Return the bytes of a .keras file, as Keras 3 names its groups or as Keras 2.13 did."""
    buffer, counted = io.BytesIO(), {}
    with h5py.File(buffer, "w") as file:
        for kind, _, weights in layers:
            group = re.sub("(?<=[a-z])(?=[A-Z])", "_", kind).lower()
            number = counted[group] = counted.get(group, -1) + 1
            number, top = (
                (2 * number, "_layer_checkpoint_dependencies")
                if old_groups
                else (
                    number,
                    "layers",
                )
            )
            place = file.create_group(f"{top}/{group}_{number}" if number else f"{top}/{group}")
            place = place.create_group("vars")
            for index, array in enumerate(weights.values()):
                place[str(index)] = array
    return zipped(described(layers, shape, **options), buffer.getvalue())


def zipped(description, weights):
    """Return a .keras file of a description and the bytes of its weights."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", json.dumps(description))
        archive.writestr("model.weights.h5", weights)
    return buffer.getvalue()


def h5_file(layers, shape=(28, 28), version="2", change=None, **options):
    """Return the bytes of an .h5 file; ``change`` gets the open file before it is closed."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = json.dumps(described(layers, shape, version, **options))
        layer_names = [f"{kind.lower()}_{n}" for n, (kind, _, _) in enumerate(layers, start=1)]
        file.create_group("model_weights").attrs["layer_names"] = [n.encode() for n in layer_names]
        for name, (_, _, weights) in zip(layer_names, layers, strict=True):
            group = file.create_group(f"model_weights/{name}")
            names = [f"{name}/{w}:0" if version == "2" else f"model/{name}/{w}" for w in weights]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for path, array in zip(names, weights.values(), strict=True):
                group[path] = array
        if change:
            change(file)
    return buffer.getvalue()


def with_arrays(groups):
    """Return an HDF5 file of lists of arrays, each under its number in its group."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, arrays in groups.items():
            for number, array in enumerate(arrays):
                file[f"{name}/{number}"] = array
    return buffer.getvalue()
