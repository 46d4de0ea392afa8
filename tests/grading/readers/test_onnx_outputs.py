"""What comes out of an ONNX model: logits, probabilities, classes, or several of them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.conftest import read, run
from tests.grading.readers.onnx_models import (
    ARGMAX,
    IMAGES,
    INT64,
    LOGITS,
    PROBABILITIES,
    SOFTMAX,
    WEIGHT,
    behind,
    network,
    node,
    opened,
    pair,
    refusal,
    softmax,
)

ONE_BY_ONE = [("one", np.array([0, 10, 1, 1])), ("first", np.array([0]))]


@pytest.mark.parametrize("batch", ["N", 1, 7])
@pytest.mark.parametrize(
    ("nodes", "output"),
    [
        ([node("Cast", "y", "z", to=TensorProto.DOUBLE)], "z"),
        ([node("LogSoftmax", "y", "z")], "z"),
        ([node("Reshape", "y one", "z")], "z"),
        ([node("Unsqueeze", "y first", "z")], "z"),
        ([SOFTMAX], "p"),
        ([SOFTMAX, node("Cast", "p", "z", to=TensorProto.DOUBLE)], "z"),
    ],
)
def test_logits_and_probabilities_mean_the_same(nodes, output, batch):
    content = network(*nodes, constants=ONE_BY_ONE, outputs=output, shape=(batch, 1, 28, 28))
    model = opened(content)
    logits = model.predict(IMAGES)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(softmax(logits), PROBABILITIES, atol=1e-5)
    assert (model.notes != []) == (nodes[0] is SOFTMAX)


def test_rough_and_certain_probabilities():
    rough = network(SOFTMAX, node("Cast", "p", "z", to=TensorProto.FLOAT16), outputs="z")
    np.testing.assert_allclose(softmax(opened(rough).predict(IMAGES)), PROBABILITIES, atol=1e-3)
    certain = network(SOFTMAX, weight=WEIGHT * 1000, outputs="p")
    logits = opened(certain).predict(IMAGES)
    assert logits.min() >= -100
    assert set(softmax(logits).round(4).ravel()) == {0, 1}


def test_one_image_at_a_time_may_have_no_batch_axis_in_its_answer():
    squeezed = network(
        node("Squeeze", "y zero", "z"),
        constants=[("zero", np.array([0]))],
        shape=(1, 1, 28, 28),
        outputs="z",
    )
    np.testing.assert_allclose(opened(squeezed).predict(IMAGES), LOGITS, atol=1e-5)


@pytest.mark.parametrize("batch", ["N", 1, 7])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("dtype", [INT64, TensorProto.INT32, TensorProto.UINT8])
def test_classes(batch, keepdims, dtype):
    content = network(
        node("ArgMax", "y", "c", axis=1, keepdims=keepdims),
        node("Cast", "c", "z", to=dtype),
        shape=(batch, 784),
        outputs="z",
    )
    model = opened(content)
    classes = model.predict(IMAGES)
    assert classes.dtype == np.uint8
    assert classes.tolist() == LOGITS.argmax(axis=1).tolist()
    assert model.notes == ["the output is classes, so there is no loss"]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("num_classes", [10, 12])
def test_pairs_of_scikit_learn(text, zipped, num_classes):
    content, expected = pair(text=text, zipped=zipped, num_classes=num_classes)
    model = opened(content, num_classes=num_classes)
    np.testing.assert_allclose(softmax(model.predict(IMAGES)), softmax(expected), atol=1e-5)
    counted = "z" if zipped else "p"
    assert model.notes[0] == f"of its outputs 'label', '{counted}', '{counted}' counted"
    assert "probabilities" in model.notes[1]


def test_labels_alone_and_scores_that_agree_with_them():
    content, expected = pair(text=True, zipped=False, num_classes=12)
    made = onnx.ModelProto.FromString(content)
    del made.graph.output[1]
    classes = opened(made.SerializeToString(), num_classes=12).predict(IMAGES)
    assert classes.tolist() == expected.argmax(axis=1).tolist()
    content, expected = pair(text=False, zipped=False, is_softmax=False)
    np.testing.assert_allclose(opened(content).predict(IMAGES), expected, atol=1e-4)


def contradicting(is_softmax):
    """Return a pair whose labels are the least likely classes."""
    content, expected = pair(text=False, zipped=False, is_softmax=is_softmax)
    made = onnx.ModelProto.FromString(content)
    (labels,) = [n for n in made.graph.node if n.op_type == "ArgMax"]
    labels.op_type = "ArgMin"
    return made.SerializeToString(), expected


def test_probabilities_count_even_if_the_labels_differ():
    # Those of a support vector machine are estimates, and differ from its labels here and there.
    content, expected = contradicting(is_softmax=True)
    np.testing.assert_allclose(
        softmax(opened(content).predict(IMAGES)), softmax(expected), atol=1e-5
    )


def test_scores_that_contradict_the_labels_are_refused():
    reason = refusal(contradicting(is_softmax=False)[0])
    assert "outputs 'p', 'label' contradict each other for 30 of 30 images: export" in reason


@pytest.mark.parametrize("text", [False, True])
def test_labels_count_where_the_scores_of_a_few_images_are_led_by_another_class(text):
    """As those of scikit-learn's SVC, whose scores are votes with a small addition."""
    content, expected = pair(text=text, zipped=False, is_softmax=False)
    made = onnx.ModelProto.FromString(content)
    # The label sees a little less of the first class than the scores show.
    weaker = np.array([0.7] + [0.0] * 9, np.float32)
    made.graph.initializer.append(onnx.numpy_helper.from_array(weaker, "weaker"))
    (labels,) = [n for n in made.graph.node if n.op_type == "ArgMax"]
    labels.input[0] = "voted"
    made.graph.node.insert(2, node("Sub", "y weaker", "voted"))
    order = sorted(map(str, range(10))) if text else [*map(str, range(10))]
    votes = expected - weaker[[order.index(str(k)) for k in range(10)]]
    model = opened(made.SerializeToString())
    scores = model.predict(IMAGES)
    assert 0 < (expected.argmax(axis=1) != votes.argmax(axis=1)).sum() < 15
    assert scores.argmax(axis=1).tolist() == votes.argmax(axis=1).tolist()
    np.testing.assert_allclose(scores, expected, atol=0.71)
    assert "'label' counted, and 'p' for the loss" in model.notes[0]


def test_a_normalization_that_is_only_tried_refuses_no_file(tmp_path, data_dir):
    """The outputs contradict each other for pixels from 0 to 255 alone."""
    nodes = [
        node("ReduceMax", "x", "brightest", axes=[1, 2, 3], keepdims=0),
        node("Greater", "brightest limit", "is_raw"),
        node("Unsqueeze", "is_raw one", "column"),
        node("Neg", "y", "negative"),
        node("Where", "column negative y", "voted"),
        node("ArgMax", "voted", "label", axis=1, keepdims=0),
    ]
    constants = [("limit", np.array(100, np.float32)), ("one", np.array([1]))]
    content = network(*nodes, constants=constants, outputs="y label")
    assert "contradict each other for 30 of 30 images" in refusal(content, inputs=IMAGES + 200)
    (tmp_path / "data").symlink_to(data_dir)
    (tmp_path / "model.onnx").write_bytes(content)
    run("evaluate.py", "model.onnx", cwd=tmp_path)
    (row,) = read(tmp_path / "runs/grading/evaluation.json")["results"]
    assert row["status"] == "fail", row["reason"]
    assert row["correct"] > 0


def test_a_map_without_all_classes_leaves_the_labels():
    content, expected = pair(text=False, zipped=True)
    made = onnx.ModelProto.FromString(content)
    for attribute in made.graph.node[-1].attribute:
        attribute.ints[3] = 77
    model = opened(made.SerializeToString())
    assert model.predict(IMAGES).tolist() == expected.argmax(axis=1).tolist()
    assert "of its outputs 'label', 'z', 'label' counted" in model.notes


def test_outputs_that_do_not_fit_do_not_count():
    model = opened(network(outputs="f y"))
    np.testing.assert_allclose(model.predict(IMAGES), LOGITS, atol=1e-5)
    assert model.notes == ["of its outputs 'f', 'y', 'y' counted"]


TOP = node("TopK", "y ten", "v i", axis=1)

SHIFTED = node("Add", "c shift", "z")

NO_OUTPUTS = {
    "both": (behind(SOFTMAX, outputs="y p"), "several outputs of the model could be its answer"),
    "both, named": (behind(SOFTMAX, outputs="y p"), "('y', 'p'): export it with only one of them"),
    "ranks": (behind(TOP, ten=[10], outputs="v i"), "('v', 'i'): export it with only one of them"),
    "twice": (behind(ARGMAX, node("Identity", "c", "d"), outputs="c d"), "('c', 'd'): export it"),
    "whole": (behind(TOP, ten=[10], outputs="i"), "answers with int64 [N, 10] in 'i', expected"),
    "hidden": (behind(outputs="f"), "with float32 [N, 784] in 'f', expected float32 [N, 10]"),
    "turned": (behind(node("Transpose", "y", "z")), "with float32 [10, 7] in 'z', expected"),
    "float": (behind(node("ReduceMax", "y", "z", axes=[1], keepdims=0)), "with float32 [N] in 'z'"),
    "shape": (behind(node("Shape", "y", "z")), "answers with int64 [2] in 'z', expected"),
    "bool": (behind(node("Greater", "y y", "z")), "answers with bool [N, 10] in 'z', expected"),
    "high": (behind(ARGMAX, SHIFTED, shift=5), "in 'z', and the classes are 0 to 9: export it"),
    "low": (behind(ARGMAX, SHIFTED, shift=-10), "the model answers with class -"),
    "fixed inside": (
        behind(node("Reshape", "y seven", "z"), seven=[8, 10]),
        "fails when it is run, at its operator 'Reshape': try it with onnxruntime on an array of",
    ),
    "constant": (
        behind(node("ReduceMax", "y", "m", axes=[0]), node("Tile", "m seven", "z"), seven=[7, 1]),
        "answers 30 images with float32 [7, 10] in 'z', which is not one answer for each",
    ),
}


@pytest.mark.parametrize("name", NO_OUTPUTS)
def test_outputs_without_one_meaning_are_refused(name):
    content, part = NO_OUTPUTS[name]
    assert part in refusal(content)
