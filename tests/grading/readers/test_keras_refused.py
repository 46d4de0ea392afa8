"""Files of Keras that are refused: what is in the way, and the next step."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from common.data.catalog import MNIST
from common.support.errors import SubmissionError
from grading.readers.keras import hdf5
from grading.readers.kinds import read_file
from tests.grading.readers.keras_files import (
    FLAT,
    LINEAR,
    conv,
    dense,
    described,
    h5_file,
    keras_file,
    layer,
    values,
    with_arrays,
    zipped,
)

KERNEL = "model_weights/dense_2/dense_2/kernel:0"


def refusal(content, name="a.keras"):
    with pytest.raises(SubmissionError) as caught:
        read_file((name, content), [(name, content)], MNIST.sizes, 10_000)
    reason = str(caught.value)
    assert 10 < len(reason) <= 600, reason
    assert reason.isprintable(), reason
    return reason


def changed(change, layers=LINEAR, **options):
    """Return a .keras file whose description was changed."""
    description = described(layers, (28, 28), **options)
    change(description)
    return zipped(description, with_arrays({"layers/dense/vars": LINEAR[1][2].values()}))


def in_layer(number, **entries):
    return changed(lambda model: model["config"]["layers"][number].update(entries))


def branched(model):
    """Let a second layer take the images, and add what comes of both."""
    added = layer("Add")
    (*_, first, last) = described([*LINEAR, added], (28, 28), functional=True)["config"]["layers"]
    last["inbound_nodes"][0]["args"] = [first["inbound_nodes"][0]["args"] * 2]
    model["config"]["layers"].append(last)
    model["config"]["output_layers"] = [last["name"], 0, 0]


def training(model):
    model["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {"training": True}


def aside(model):
    model["config"]["output_layers"] = ["flatten_1", 0, 0]


def two_outputs(model):
    model["config"]["output_layers"] = [["flatten_1", 0, 0], ["dense_2", 0, 0]]


def used_twice(model):
    nodes = model["config"]["layers"][2]["inbound_nodes"]
    nodes.append(nodes[0])


DESCRIPTIONS = {
    "the layer 'lambda_1' ('Lambda') is none of those": keras_file([layer("Lambda"), *LINEAR]),
    "the layer 'lstm_1' ('LSTM') is none of those": keras_file([layer("LSTM", units=3)]),
    "the layer 'dense_2' ('Dense') is a class of its author's own": in_layer(2, module="__main__"),
    "('Dense') is a class of its author's": in_layer(2, registered_name="mine>Dense"),
    "the model is a class of its author's own ('Net')": changed(
        lambda m: m.update(class_name="Net")
    ),
    "'add_3' ('Add') does not take the answer of one": changed(branched, functional=True),
    "('Flatten') does not take the answer of one": changed(training, functional=True),
    "'dense_2' ('Dense') does not take": changed(used_twice, functional=True),
    "'dense_2' ('Dense') lies beside it": changed(aside, functional=True),
    "the model has 2 inputs or outputs": changed(two_outputs, functional=True),
    "'activation' set to 'hard_sigmoid', which is not": keras_file(
        [FLAT, dense(784, 10, activation="hard_sigmoid")]
    ),
    "'activation' set to of type dict": keras_file([FLAT, dense(784, 10, activation={"a": 1})]),
    "'lora_rank' set to '4'": keras_file([FLAT, dense(784, 10, lora_rank=4)]),
    "'dtype' set to 'int8_from_float32'": keras_file(
        [FLAT, dense(784, 10, dtype="int8_from_float32")]
    ),
    "'units' set to '10.5'": keras_file([FLAT, layer("Dense", units=10.5)]),
    "'strides' set to '[0, 1]'": keras_file([conv((3, 3), 1, 2, strides=[0, 1])], (28, 28, 1)),
    "'padding' set to 'causal'": keras_file([conv((3, 3), 1, 2, padding="causal")], (28, 28, 1)),
    "'axis' set to '7'": keras_file([layer("BatchNormalization", axis=7)]),
    "'scale' set to '[1, 2]'": keras_file([layer("Rescaling", scale=[1, 2])]),
    "[N, 32, 32, 3], expected one of [N, 28, 28, 1]": keras_file(LINEAR, (32, 32, 3)),
    "[N, None, None, None]": keras_file(LINEAR, (None, None, None)),
    "does not say of which shape": changed(lambda m: m["config"]["layers"].pop(0)),
    "'reshape_1' ('Reshape') does not fit what is before it": keras_file(
        [layer("Reshape", target_shape=[7, 5])]
    ),
    "the description of the model is damaged": changed(lambda m: m.pop("config")),
}


@pytest.mark.parametrize("reason", DESCRIPTIONS)
def test_what_is_not_a_chain_of_known_layers(reason):
    assert reason in refusal(DESCRIPTIONS[reason])


def with_kernel(make):
    """Return an .h5 file whose kernel ``make`` made anew, in its group."""

    def change(file):
        del file[KERNEL]
        group, name = KERNEL.rsplit("/", 1)
        make(file[group], name)

    return h5_file(LINEAR, change=change)


def outside(group, name):
    group.create_dataset(name, (784, 10), "f4", external=[("/etc/passwd", 0, 31360)])


def virtual(group, name):
    layout = h5py.VirtualLayout((784, 10), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (784, 10))
    group.create_virtual_dataset(name, layout)


def cyclic(group, name):
    group[name] = group


WEIGHTS = {
    "are packed, or in another file: save": (
        with_kernel(lambda g, n: g.create_dataset(n, (784, 10), "f4", compression="gzip")),
        with_kernel(lambda g, n: g.create_dataset(n, (784, 10), "f4", chunks=(1, 10))),
        with_kernel(lambda g, n: g.create_dataset(n, (784, 10), "f4")),
        with_kernel(outside),
        with_kernel(virtual),
    ),
    "is a link to another place or file": (
        with_kernel(lambda g, n: g.__setitem__(n, h5py.ExternalLink("/etc/passwd", "/"))),
        with_kernel(lambda g, n: g.__setitem__(n, h5py.SoftLink("/model_weights"))),
        h5_file(
            LINEAR,
            change=lambda f: (
                f.move("model_weights", "x") or f.__setitem__("model_weights", h5py.SoftLink("/x"))
            ),
        ),
    ),
    "[784, 11], expected [784, 10]": (with_kernel(lambda g, n: g.__setitem__(n, values(784, 11))),),
    "[], expected": (with_kernel(lambda g, n: g.__setitem__(n, h5py.Empty("f4"))),),
    "shape [1000000000000], expected": (
        with_kernel(lambda g, n: g.create_dataset(n, (10**12,), "f4", chunks=True)),
    ),
    "are no floating-point numbers": (
        with_kernel(lambda g, n: g.__setitem__(n, values(784, 10).astype("i4"))),
        with_kernel(lambda g, n: g.__setitem__(n, values(784, 10).astype("c8"))),
    ),
    "holds values that are NaN or infinite": (
        with_kernel(lambda g, n: g.__setitem__(n, np.full((784, 10), np.nan, "f4"))),
    ),
    "are not in the file": (
        with_kernel(cyclic),
        with_kernel(lambda *_: None),
        keras_file([FLAT, layer("Dense", units=10)]),
    ),
    "has no kernel of its own in the file": (
        h5_file([FLAT, layer("Dense", units=10)]),
        h5_file(LINEAR, change=lambda f: f.pop("model_weights")),
    ),
    "has 3 weights, expected 2 (kernel, bias)": (
        keras_file([FLAT, layer("Dense", {**LINEAR[1][2], "lora": values(2)}, units=10)]),
    ),
    "without the description of a model, such as weights alone": (
        h5_file(LINEAR, change=lambda f: f.attrs.pop("model_config")),
        with_arrays({"layers/dense/vars": [values(784, 10)]}),
    ),
    "not a file of Keras, or a damaged one": (keras_file(LINEAR)[:20_000],),
    "not an HDF5 file of Keras, or a damaged one": (
        h5_file(LINEAR)[:3000],
        b"\x89HDF\r\n\x1a\n",
        zipped(described(LINEAR, (28, 28)), b"none"),
    ),
}


@pytest.mark.parametrize("reason", WEIGHTS)
def test_what_is_no_array_of_the_layer(reason):
    for content in WEIGHTS[reason]:
        assert reason in refusal(content)


def test_a_file_under_a_name_of_keras_that_is_none():
    assert "not a file of Keras, or a damaged one" in refusal(b"garbage", "a.h5")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", "{}")
    assert "the file has no config.json with model.weights.h5" in refusal(buffer.getvalue())


def test_a_machine_without_h5py_says_what_to_install(monkeypatch):
    monkeypatch.setattr(hdf5, "h5py", None)
    assert "pip install -r requirements-grading.txt" in refusal(keras_file(LINEAR))
