"""What goes into an ONNX model: shapes, types, and the normalisation it declares."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.grading.readers.onnx_models import (
    FLOAT,
    IMAGES,
    INT64,
    LOGITS,
    PIXELS,
    WEIGHT,
    network,
    node,
    opened,
    proto,
    refusal,
    value,
)

INT8 = TensorProto.INT8


@pytest.mark.parametrize("batch", ["N", None, "unk__12", -1, 1, 7, 30, 64])
@pytest.mark.parametrize("shape", [(1, 28, 28), (784,), (28, 28), (28, 28, 1)])
def test_the_same_numbers_in_every_shape_and_batch(shape, batch):
    model = opened(network(shape=[batch, *shape]))
    logits = model.predict(IMAGES)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, LOGITS, rtol=1e-4, atol=1e-5)
    assert not model.takes_pixels
    assert model.normalization is None
    noted = shape in [(28, 28), (28, 28, 1)]
    assert any("filled with the same 784 numbers" in note for note in model.notes) == noted


@pytest.mark.parametrize(
    "shape",
    [
        (None, 1, "h", "w"),
        ("N", "c", 28, 28),
        ("N", 28, "w", "c"),
        ("a", "b"),
        ("a", "b", "c"),
        ("N", "h", "w", 1),
    ],
)
def test_free_axes_with_one_meaning(shape):
    np.testing.assert_allclose(opened(network(shape=shape)).predict(IMAGES), LOGITS, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "name", "tolerance"),
    [(TensorProto.DOUBLE, "float64", 1e-5), (TensorProto.FLOAT16, "float16", 1e-2)],
)
def test_other_floats_go_in(dtype, name, tolerance):
    model = opened(network(dtype=dtype, cast=FLOAT))
    np.testing.assert_allclose(model.predict(IMAGES), LOGITS, atol=tolerance)
    assert model.notes == [f"the numbers went in as {name}"]


def test_uint8_is_pixels():
    content = network(dtype=TensorProto.UINT8, cast=FLOAT, shape=(7, 28, 28))
    model = opened(content)
    assert model.takes_pixels
    expected = PIXELS.reshape(30, 784).astype(np.float32) @ WEIGHT
    np.testing.assert_allclose(model.predict(PIXELS), expected, rtol=1e-3, atol=1e-2)
    assert "pixels 0 to 255 went in as they are" in model.notes[0] + model.notes[1]


def test_initializers_that_are_listed_as_inputs_are_none():
    made = proto([node("Reshape", "x shape", "f"), node("MatMul", "f w", "y")], [("w", WEIGHT)])
    made.graph.input.append(value("w", FLOAT, [784, 10]))
    np.testing.assert_allclose(opened(made.SerializeToString()).predict(IMAGES), LOGITS, atol=1e-5)


@pytest.mark.parametrize("dtype", [INT64, TensorProto.INT32])
@pytest.mark.parametrize("shape", [("N", 784), (7, 1, 28, 28)])
def test_other_whole_numbers_are_pixels_too(dtype, shape):
    model = opened(network(dtype=dtype, cast=FLOAT, shape=shape))
    assert model.takes_pixels
    expected = PIXELS.reshape(30, 784).astype(np.float32) @ WEIGHT
    np.testing.assert_allclose(model.predict(PIXELS), expected, rtol=1e-3, atol=1e-2)
    assert any("pixels 0 to 255 went in as they are" in note for note in model.notes)


def frame(dtype=FLOAT, batch="N", count=784, width=1):
    """Return what skl2onnx makes of a pipeline that was trained on a data frame."""
    names = [f"pixel{n}" for n in range(1, count + 1)]
    joined = [node("Concat", " ".join(names), "r", axis=1), node("Cast", "r", "f", to=FLOAT)]
    made = proto([*joined, node("MatMul", "f w", "y")], [("w", WEIGHT[: count * width])])
    del made.graph.input[:]
    made.graph.input.extend(value(name, dtype, [batch, width]) for name in names)
    return made.SerializeToString()


@pytest.mark.parametrize("batch", [None, "N", 7])
def test_columns_of_a_data_frame_are_the_pixels_in_order(batch):
    model = opened(frame(batch=batch))
    np.testing.assert_allclose(model.predict(IMAGES), LOGITS, atol=1e-5)
    assert model.notes == ["its 784 inputs were filled with the pixels in order"]
    model = opened(frame(INT64, batch))
    assert model.takes_pixels
    expected = PIXELS.reshape(30, 784).astype(np.float32) @ WEIGHT
    np.testing.assert_allclose(model.predict(PIXELS), expected, rtol=1e-3, atol=1e-2)


def test_answers_that_depend_on_the_batch_are_noted():
    weight = np.round(WEIGHT * 100).astype(np.int8)
    nodes = [
        node("Reshape", "x shape", "f"),
        node("DynamicQuantizeLinear", "f", "q scale zero"),
        node("MatMulInteger", "q w zero", "i"),
        node("Cast", "i", "c", to=FLOAT),
        node("Mul", "c scale", "y"),
    ]
    for batch, size in (("N", "1,000"), (7, "7")):
        made = proto(nodes, [("w", weight)], shape=(batch, 1, 28, 28)).SerializeToString()
        model = opened(made)
        np.testing.assert_allclose(model.predict(IMAGES), LOGITS * 100, atol=40)
        (note,) = model.notes
        assert "dynamically quantised" in note
        assert f"{size} at a time" in note
    assert opened(network()).notes == []


def two_inputs():
    made = proto([node("Add", "x z", "y")], shape=("N", 10))
    made.graph.input.append(value("z", FLOAT, ["N", 10]))
    return made.SerializeToString()


NO_INPUTS = {
    "colour": (
        network(shape=("N", 3, 28, 28)),
        "[N, 3, 28, 28], expected float32, float64, or uint8, int32 or int64 (pixels 0 to 255)",
    ),
    "colour last": (
        network(shape=("N", 28, 28, 3)),
        "[N, 28, 28] or [N, 28, 28, 1]: let the model",
    ),
    "no batch": (network(shape=(28, 28)), "of shape [28, 28], expected"),
    "free": (network(shape=("a", "b", "c", "d")), "[N, 1, 28, 28] or [N, 28, 28, 1]: export it"),
    "no shape": (network(shape=None), "of shape [], expected"),
    "int8": (network(dtype=INT8, cast=FLOAT), "is 'tensor(int8)' of shape [N, 1, 28, 28], exp"),
    "783 columns": (
        frame(count=783),
        "the model has 783 inputs ('pixel1', 'pixel2', 'pixel3', ...)",
    ),
    "halves": (frame(count=392, width=2), "the model has 392 inputs"),
    "texts": (frame(TensorProto.STRING), "the model has 784 inputs"),
    "two": (two_inputs(), "2 inputs ('x', 'z'), expected one: export it so that"),
    "long": (network(shape=("N\n" * 90, 3, 28, 28)), r"[N\nN\n"),
}


@pytest.mark.parametrize("name", NO_INPUTS)
def test_inputs_without_one_meaning_are_refused(name):
    content, part = NO_INPUTS[name]
    assert part in refusal(content)


def declaring(*texts, **options):
    made = onnx.ModelProto.FromString(network(**options))
    for text in texts:
        made.metadata_props.add(key="normalization", value=text)
    return made.SerializeToString()


@pytest.mark.parametrize("text", ["0.5,0.25", " 0.5 , 0.25 ", "(0.5, 0.25)", "5e-1,.25"])
def test_declared_normalization(text):
    assert opened(declaring(text)).normalization == (0.5, 0.25)
    assert opened(declaring(text, text)).normalization == (0.5, 0.25)


@pytest.mark.parametrize(
    "text", ["", "0.5", "0.5,0", "0.5,-1", "nan,1", "0,inf", "1,2,3", "a,b", "0.5;1", "\n" * 500]
)
def test_declared_normalizations_without_meaning_are_refused(text):
    assert 'pixels in [0, 1] once, as text, such as "0.1307,0.3081"' in refusal(declaring(text))


def test_what_is_declared_has_to_be_one_thing():
    reason = refusal(declaring("0.5,0.5", "0,1"))
    assert "has the normalization '0.5,0.5', '0,1': write mean and standard deviation" in reason
    model = opened(declaring("0.5,0.5", dtype=TensorProto.UINT8, cast=FLOAT))
    assert model.normalization is None
    assert "so the declared normalization was not used" in model.notes[0]
