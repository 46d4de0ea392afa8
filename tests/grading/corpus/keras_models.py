"""Submissions in Keras' own files, honest and hostile, and the row that each must get."""

import h5py
import numpy as np

from tests.grading.readers.keras_files import FLAT, h5_file, keras_file, layer


def chain(weights):
    """Return the trained base network as layers of Keras."""
    layers = [FLAT]
    for number in range(1, 5):
        kernel, bias = (weights[f"fc{number}.{part}"].numpy() for part in ("weight", "bias"))
        activation = "relu" if number < 4 else "softmax"
        arrays = {"kernel": kernel.T, "bias": bias}
        layers += [layer("Dense", arrays, units=len(bias), activation=activation)]
        layers += [layer("Dropout", rate=0.3)] if number < 4 else []
    return layers


def linked(link):
    """Return a model whose first kernel is a link."""

    def change(file):
        group = file["model_weights/dense_2/dense_2"]
        del group["kernel:0"]
        group["kernel:0"] = link

    return change


def elsewhere(labels_file):
    """Return a model whose first kernel is the content of another file, that of the labels."""

    def change(file):
        group = file["model_weights/dense_2/dense_2"]
        del group["kernel:0"]
        place = [(str(labels_file).encode(), 0, 784 * 512 * 4)]
        group.create_dataset("kernel:0", (784, 512), "f4", external=place)

    return change


def fill(folder, weights, labels_file):
    layers = chain(weights)
    lambdas = [layer("Lambda", function=["4wEAAA==", None, None]), *layers]
    wide = [FLAT, layer("Dense", {"kernel": np.zeros(1, np.float32)}, units=10**9)]
    padded = [layer("ZeroPadding2D", padding=[[30000, 30000], [30000, 30000]]), *layers]
    small = [
        layer("Reshape", target_shape=[28, 28]),
        layer("Dense", {"kernel": np.zeros((28, 10), np.float32)}, units=10, use_bias=False),
    ]
    nested = "[" * 10_000
    files = {
        "base.keras": (keras_file(layers, functional=True), "pass", None),
        "base.h5": (h5_file(layers), "pass", None),
        "hdf5": (h5_file(layers, version="h5"), "pass", None),
        "lambda.keras": (keras_file(lambdas), "error", "('Lambda') is none of those"),
        "link.h5": (
            h5_file(layers, change=linked(h5py.ExternalLink(str(labels_file), "/"))),
            "error",
            "is a link to another place or file",
        ),
        "labels.h5": (
            h5_file(layers, change=elsewhere(labels_file)),
            "error",
            "packed, or in another file",
        ),
        "wide.keras": (keras_file(wide), "error", "expected [784, 1000000000]"),
        "padded.keras": (
            keras_file(padded, (28, 28, 1)),
            "error",
            "needs more than the 1 GiB of memory allowed (--memory)",
        ),
        "small.keras": (keras_file(small), "error", "[1000, 28, 10], expected [1000, 10]"),
        "bare.weights.h5": (
            h5_file(layers, change=lambda file: file.attrs.pop("model_config")),
            "error",
            "such as weights alone: hand in the whole model",
        ),
        "deep.h5": (
            h5_file(layers, change=lambda file: file.attrs.__setitem__("model_config", nested)),
            "error",
            "the description of the model is damaged",
        ),
        "cut.keras": (
            keras_file(layers)[:50_000],
            "error",
            "not a file of Keras, or a damaged one",
        ),
        "cut.h5": (h5_file(layers)[:50_000], "error", "not an HDF5 file of Keras, or a damaged"),
    }
    for name, (content, _, _) in files.items():
        (folder / name).write_bytes(content)
    return {name: (status, reason) for name, (_, status, reason) in files.items()}
