"""Networks in Keras' own files: what they answer."""

import io
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from common.data.catalog import MNIST
from grading.readers.kinds import read_file
from grading.readers.reader import read_submission
from tests.grading.readers.keras_files import (
    FLAT,
    IMAGES,
    LINEAR,
    conv,
    dense,
    described,
    h5_file,
    keras_file,
    layer,
    norm,
    values,
    with_arrays,
    zipped,
)

SAME = [
    layer("Rescaling", scale=2.0, offset=-1.0),
    conv((3, 3), 1, 5, strides=[2, 2], padding="same"),
    norm(5, epsilon=0.01),
    layer("LeakyReLU", negative_slope=0.3),
    layer("MaxPooling2D", pool_size=[3, 3], strides=[2, 2], padding="same"),
    conv((2, 5), 5, 4, strides=[2, 1], padding="same", activation="gelu"),
    layer("AveragePooling2D", pool_size=[3, 2], strides=[1, 1], padding="same"),
    conv((2, 2), 4, 4, dilation_rate=[2, 2], padding="same", activation="elu"),
    layer("Dropout", rate=0.5),
    FLAT,
    dense(112, 10),
]
DEPTHWISE = [
    layer("Reshape", target_shape=[28, 28, 1]),
    layer("ZeroPadding2D", padding=[[1, 2], [0, 3]]),
    layer(
        "SeparableConv2D",
        {
            "depthwise_kernel": values(3, 3, 1, 3),
            "pointwise_kernel": values(1, 1, 3, 6),
            "bias": values(6),
        },
        filters=6,
        kernel_size=[3, 3],
        strides=[2, 2],
        depth_multiplier=3,
        activation="relu",
    ),
    layer(
        "DepthwiseConv2D",
        {"depthwise_kernel": values(3, 3, 6, 2), "bias": values(12)},
        kernel_size=[3, 3],
        depth_multiplier=2,
        padding="same",
    ),
    layer("ReLU", max_value=2.0, negative_slope=0.2, threshold=0.1),
    layer("GlobalAveragePooling2D"),
    dense(12, 10, activation="softmax"),
]

# What Keras 3.15.1 answers to the first image, on TensorFlow 2.21 and on JAX 0.10 alike.
RECORDED = {
    "same": (
        SAME,
        (28, 28, 1),
        [-0.07977, 0.04192, 0.1562, 0.24289, 0.28668, 0.27984, 0.22356, 0.1278, 0.00947, -0.11054],
    ),
    "depthwise": (
        DEPTHWISE,
        (784,),
        [0.08683, 0.09937, 0.11107, 0.11889, 0.12041, 0.11513, 0.10475, 0.09222, 0.08034, 0.07098],
    ),
}


def opened(content, name="a.keras"):
    return read_file((name, content), [(name, content)], MNIST.sizes, 10_000)


def answers(content, images=IMAGES, name="a.keras"):
    return opened(content, name).predict(torch.from_numpy(images))


@pytest.mark.parametrize("make", [keras_file, h5_file])
@pytest.mark.parametrize("name", RECORDED)
def test_answers_are_those_that_keras_gave(make, name):
    layers, shape, expected = RECORDED[name]
    logits = answers(make(layers, shape))
    assert logits.dtype == np.float32
    found = torch.from_numpy(logits).softmax(1) if name == "depthwise" else logits
    np.testing.assert_allclose(found[0], expected, atol=2e-5)


def test_a_network_of_torch_answers_the_same_in_each_form_of_file():
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 4, bias=False)),
        *(nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(400, 10)),
    ).eval()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    expected = network(torch.from_numpy(IMAGES)).detach()
    first, second = (weights[f"{n}.weight"].transpose(2, 3, 1, 0) for n in (0, 3))
    flat = weights["7.weight"].reshape(10, 4, 10, 10).transpose(2, 3, 1, 0).reshape(400, 10)
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    means = {"gamma": ones, "beta": zeros, "moving_mean": zeros, "moving_variance": ones}
    layers = [
        layer(
            "Conv2D",
            {"kernel": first, "bias": weights["0.bias"]},
            filters=6,
            kernel_size=[3, 3],
            activation="relu",
        ),
        layer("MaxPooling2D", pool_size=[2, 2], strides=[2, 2], padding="valid"),
        layer("GaussianNoise", stddev=0.1),
        layer("Identity"),
        layer("Conv2D", {"kernel": second}, filters=4, kernel_size=[4, 4], use_bias=False),
        layer("BatchNormalization", means, axis=[3], epsilon=1e-5, renorm=False),
        layer("Activation", activation="tanh"),
        FLAT,
        layer(
            "Dense",
            {"kernel": flat, "bias": weights["7.bias"]},
            units=10,
            activation="softmax",
            kernel_regularizer={"class_name": "L2", "config": {"l2": 0.01}},
        ),
    ]
    for name, content in {
        "a.keras": keras_file(layers, (28, 28, 1)),
        "functional.keras": keras_file(layers, (28, 28, 1), functional=True),
        "old.keras": keras_file(layers, (28, 28, 1), old_groups=True),
        "a.h5": h5_file(layers, (28, 28, 1)),
        "new.h5": h5_file(layers, (28, 28, 1), version="h5", functional=True),
        "functional.hdf5": h5_file(layers, (28, 28, 1), functional=True),
        "was-h5.keras": h5_file(layers, (28, 28, 1)),
        "no-suffix": keras_file(layers, (28, 28, 1)),
    }.items():
        logits = torch.from_numpy(answers(content, name=name))
        torch.testing.assert_close(logits.softmax(1), expected.softmax(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(784,), (28, 28), (28, 28, 1), (1, 28, 28), (None, None, 1)])
def test_images_go_in_in_each_shape(shape):
    layers = [FLAT, *LINEAR[1:]]
    expected = IMAGES.reshape(6, 784) @ values(784, 10) + values(10)
    np.testing.assert_allclose(answers(keras_file(layers, shape)), expected, atol=1e-4)


def test_channels_first_and_models_within_the_model():
    inner = described([FLAT, dense(784, 12, activation="relu")], (1, 28, 28))
    whole = described(
        [conv((3, 3), 1, 1, padding="same", data_format="channels_first")], (1, 28, 28)
    )
    inner["config"]["name"] = "inner"
    last = {"class_name": "Dense", "config": {"name": "last", "units": 10}}
    whole["config"]["layers"] += [inner, last, {"class_name": "Softmax", "config": {"name": "s"}}]
    arrays = [
        values(3, 3, 1, 1),
        values(1),
        values(784, 12),
        values(12),
        values(12, 10),
        values(10),
    ]
    kernel, offset, *weights = map(torch.from_numpy, arrays)
    expected = torch.conv2d(torch.from_numpy(IMAGES), kernel.permute(3, 2, 0, 1), offset, padding=1)
    hidden = (expected.flatten(1) @ weights[0] + weights[1]).relu()
    numbered = with_arrays(
        {
            "layers/conv2d/vars": arrays[:2],
            "layers/sequential/layers/dense/vars": arrays[2:4],
            "layers/dense/vars": arrays[4:],
        }
    )
    logits = torch.from_numpy(answers(zipped(whole, numbered)))
    expected = hidden @ weights[2] + weights[3]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_whole_numbers_are_pixels_and_half_precision_is_noted():
    halves = [
        FLAT,
        layer(
            "Dense",
            {"kernel": values(784, 10).astype(np.float16)},
            units=10,
            use_bias=False,
            dtype={"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}},
        ),
    ]
    reading = opened(keras_file(halves))
    assert reading.info.notes == "mixed_float16 layers were computed as float32"
    assert reading.info.architecture == "Keras: Flatten, Dense"
    assert reading.info.parameters == 7840
    assert not reading.takes_pixels
    pixels = described(LINEAR, (28, 28))
    pixels["config"]["layers"][0]["config"]["dtype"] = "uint8"
    arrays = with_arrays({"layers/dense/vars": LINEAR[1][2].values()})
    reading = opened(zipped(pixels, arrays))
    assert reading.takes_pixels
    assert reading.predict(torch.ones(2, 1, 28, 28, dtype=torch.uint8)).shape == (2, 10)


def test_a_model_is_found_in_a_zip_beside_its_weights_and_is_no_such_zip_itself():
    content, buffer = keras_file(LINEAR), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hand-in/mnist.keras", content)
        archive.writestr("hand-in/mnist.weights.h5", with_arrays({"layers/dense/vars": []}))
        archive.writestr("hand-in/notes.txt", "two epochs")
    for name, handed_in in {"a.zip": buffer.getvalue(), "renamed.zip": content}.items():
        reading = read_submission([(name, handed_in)], MNIST.sizes, 10_000)
        assert reading.info.kind == "keras"
        assert ("'hand-in/mnist.keras' counted" in reading.info.notes) == (name == "a.zip")
