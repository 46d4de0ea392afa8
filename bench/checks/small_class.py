"""Small submissions in every form, all different: a linear network, and tables of classes."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import safetensors.numpy
import torch
from onnx import TensorProto, helper, numpy_helper

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST_SPEC

_TRAINED_ON = 10_000
_NOISE = 0.003  # standard deviation, of weights that are up to about 0.1
_MOST_WRONG = 0.3  # of the answers in a table

# A reading and a row take milliseconds of these; of the others, some tens.
TABLES = ("csv", "npy", "npz", "json")
NETWORKS = ("pth", "safetensors", "onnx", "keras", "h5", "zip")


class Student:
    """What one student may hand in; ``number`` seeds what differs from the others."""

    def __init__(
        self, number: int, weight: np.ndarray, bias: np.ndarray, labels: np.ndarray
    ) -> None:
        chance = np.random.default_rng(number)
        noise = _NOISE * chance.standard_normal(weight.shape)
        self.weight, self.bias = (weight + noise).astype(np.float32), bias
        is_wrong = chance.random(len(labels)) < _MOST_WRONG * chance.random()
        self.classes = np.where(is_wrong, (labels + 1) % 10, labels).astype(np.uint8)

    def file(self, form: str) -> bytes:
        """Return the content of a file of this form."""
        return _WRITERS[form](self)


def students(data_dir: Path) -> Callable[[int], Student]:
    """Fit a linear network by least squares; return the maker of students.

    Raises UserError if there are no images of MNIST in ``data_dir``.
    """
    trained_on = load_split(MNIST_SPEC, data_dir, "train")
    labels = load_split(MNIST_SPEC, data_dir, "test").targets
    weight, bias = _fit(trained_on)
    return lambda number: Student(number, weight, bias, labels)


def _fit(images: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    mean, std = images.dataset.normalization
    inputs = (images.images[:_TRAINED_ON].reshape(-1, 784) / 255 - mean) / std
    inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
    wanted = np.eye(10)[images.targets[:_TRAINED_ON]]
    solved = np.linalg.solve(inputs.T @ inputs + 100 * np.eye(785), inputs.T @ wanted)
    return solved[:-1].T, solved[-1].astype(np.float32)


def _state_dict(student: Student) -> dict[str, np.ndarray]:
    return {"fc1.weight": student.weight, "fc1.bias": student.bias}


def _pth(student: Student) -> bytes:
    buffer = io.BytesIO()
    torch.save({k: torch.from_numpy(v) for k, v in _state_dict(student).items()}, buffer)
    return buffer.getvalue()


def _onnx(student: Student) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["h"]), _gemm()],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(student.weight, "w"), numpy_helper.from_array(student.bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def _gemm() -> onnx.NodeProto:
    return helper.make_node("Gemm", ["h", "w", "b"], ["y"], transB=1)


def _layers(shape_key: str) -> str:
    """Return a model's description as Keras writes it: the input, and one layer."""
    entries = [
        ("InputLayer", {"name": "images", shape_key: [None, 28, 28], "dtype": "float32"}),
        ("Flatten", {"name": "flat"}),
        ("Dense", {"name": "dense", "units": 10, "activation": "linear", "use_bias": True}),
    ]
    layers = [
        {"module": "keras.layers", "registered_name": None, "class_name": kind, "config": config}
        for kind, config in entries
    ]
    config = {"name": "model", "layers": layers}
    return json.dumps(
        {"module": "keras", "registered_name": None, "class_name": "Sequential", "config": config}
    )


def _keras(student: Student) -> bytes:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = student.weight.T, student.bias
    members = {
        "metadata.json": b'{"keras_version": "3.15.1"}',
        "config.json": _layers("batch_shape").encode(),
        "model.weights.h5": weights.getvalue(),
    }
    return _zipped(members)


def _h5(student: Student) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = _layers("batch_input_shape")
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"dense"]
        names = {"dense/kernel:0": student.weight.T, "dense/bias:0": student.bias}
        group.create_group("dense").attrs["weight_names"] = [name.encode() for name in names]
        for name, array in names.items():
            group[f"dense/{name}"] = array
    return buffer.getvalue()


def _csv(student: Student) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("ImageId", "Label"))
    writer.writerows(enumerate(student.classes.tolist(), start=1))
    return text.getvalue().encode()


def _npy(student: Student) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, student.classes)
    return buffer.getvalue()


def _npz(student: Student) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, predictions=student.classes)
    return buffer.getvalue()


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


_WRITERS: dict[str, Callable[[Student], bytes]] = {
    "csv": _csv,
    "npy": _npy,
    "npz": _npz,
    "json": lambda student: json.dumps(student.classes.tolist()).encode(),
    "pth": _pth,
    "safetensors": lambda student: safetensors.numpy.save(_state_dict(student)),
    "onnx": _onnx,
    "keras": _keras,
    "h5": _h5,
    "zip": lambda student: _zipped({"model.pth": _pth(student), "notes.txt": b"one layer"}),
}
