"""The ONNX reader: every accepted form gives the same logits, every other one a next step."""

import importlib.util
import os
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from common.grading.readers.onnx import contents, model, session
from common.grading.readers.onnx.contents import read_onnx_file
from common.grading.readers.onnx.model import open_onnx
from common.grading.readers.onnx.session import supported_versions
from common.grading.sandbox import limits
from common.support.errors import SubmissionError

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.standard_normal((30, 1, 28, 28)).astype(np.float32)
PIXELS = GENERATOR.integers(0, 256, (30, 1, 28, 28), dtype=np.uint8)
WEIGHT = (GENERATOR.standard_normal((784, 10)) / 28).astype(np.float32)
LOGITS = IMAGES.reshape(30, 784) @ WEIGHT
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
FLAT_SHAPE = ("shape", np.array([-1, 784]))


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def proto(nodes, constants=(), shape=("N", 1, 28, 28), dtype=FLOAT, outputs="y", ir=9, opsets=()):
    """Return a model with input x; ``outputs`` are names, or types that onnx cannot infer."""
    named = outputs.split() if isinstance(outputs, str) else outputs
    graph = helper.make_graph(
        nodes,
        "network",
        [value("x", dtype, shape)],
        [value(o, TensorProto.UNDEFINED, None) if isinstance(o, str) else o for o in named],
        [
            c if isinstance(c, TensorProto) else numpy_helper.from_array(c[1], c[0])
            for c in (FLAT_SHAPE, *constants)
        ],
    )
    for output in graph.output:  # onnxruntime infers what is not there
        if output.type.tensor_type.elem_type == TensorProto.UNDEFINED:
            output.ClearField("type")
    versions = {"": 17, **dict(opsets)}
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*o) for o in versions.items()]
    )
    made.ir_version = ir
    return made


def network(*more, weight=WEIGHT, cast=None, constants=(), **options):
    """Return the bytes of a linear network with ``y`` as logits, and further nodes behind it."""
    flat = node("Reshape", "x shape", "f" if cast is None else "r")
    casts = [] if cast is None else [node("Cast", "r", "f", to=FLOAT)]
    nodes = [flat, *casts, node("MatMul", "f w", "y"), *more]
    weights = weight if isinstance(weight, TensorProto) else ("w", weight)
    return proto(nodes, [weights, *constants], **options).SerializeToString()


def opened(content, data_files=(), num_classes=10):
    return open_onnx(content, dict(data_files), 28, num_classes)


def refusal(content, data_files=(), num_classes=10, inputs=IMAGES):
    with pytest.raises(SubmissionError) as caught:
        opened(content, data_files, num_classes).predict(inputs)
    reason = str(caught.value)
    assert 10 < len(reason) <= 600, reason
    assert reason.isprintable(), reason
    return reason


def softmax(logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


# Inputs


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


def two_inputs():
    made = proto([node("Add", "x z", "y")], shape=("N", 10))
    made.graph.input.append(value("z", FLOAT, ["N", 10]))
    return made.SerializeToString()


NO_INPUTS = {
    "colour": (
        network(shape=("N", 3, 28, 28)),
        "[N, 3, 28, 28], expected float32, float64 or uint8",
    ),
    "colour last": (
        network(shape=("N", 28, 28, 3)),
        "[N, 28, 28] or [N, 28, 28, 1]: let the model",
    ),
    "no batch": (network(shape=(28, 28)), "of shape [28, 28], expected"),
    "free": (network(shape=("a", "b", "c", "d")), "[N, 1, 28, 28] or [N, 28, 28, 1]: export it"),
    "no shape": (network(shape=None), "of shape [], expected"),
    "int64": (network(dtype=INT64, cast=FLOAT), "is 'tensor(int64)' of shape [N, 1, 28, 28], exp"),
    "two": (two_inputs(), "2 inputs ('x', 'z'), expected one: export it so that"),
    "long": (network(shape=("N\n" * 90, 3, 28, 28)), r"[N\nN\n"),
}


@pytest.mark.parametrize("name", NO_INPUTS)
def test_inputs_without_one_meaning_are_refused(name):
    content, part = NO_INPUTS[name]
    assert part in refusal(content)


# What the file declares


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


# Outputs


SOFTMAX = node("Softmax", "y", "p")
ARGMAX = node("ArgMax", "y", "c", axis=1, keepdims=0)
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


def pair(*, text, zipped, num_classes=10, is_softmax=True):
    """Return what skl2onnx makes of a classifier: labels, and scores with or without ZipMap."""
    weight = GENERATOR.standard_normal((784, num_classes)).astype(np.float32) / 28
    # scikit-learn sorts its classes as what they are.
    names = sorted(map(str, range(num_classes)))
    order = [names.index(str(k)) for k in range(num_classes)] if text else range(num_classes)
    keys = {"classlabels_strings": names} if text else {"classlabels_int64s": [*range(num_classes)]}
    kind = TensorProto.STRING if text else INT64
    nodes = [
        SOFTMAX if is_softmax else node("Identity", "y", "p"),
        ARGMAX,
    ]
    if text:
        encoder = {"keys_int64s": [*range(num_classes)], "values_strings": names}
        nodes.append(node("LabelEncoder", "c", "label", domain="ai.onnx.ml", **encoder))
    else:
        nodes.append(node("Identity", "c", "label"))
    outputs = [value("label", kind, ["N"]), "p"]
    if zipped:
        nodes.append(node("ZipMap", "p", "z", domain="ai.onnx.ml", **keys))
        probability = helper.make_tensor_type_proto(FLOAT, [])
        mapping = helper.make_map_type_proto(kind, probability)
        outputs[1] = helper.make_value_info("z", helper.make_sequence_type_proto(mapping))
    content = network(
        *nodes,
        weight=weight,
        shape=("N", 784),
        outputs=outputs,
        opsets={"ai.onnx.ml": 2},
        constants=[("first", np.array(0))],
    )
    return content, (IMAGES.reshape(30, 784) @ weight)[:, order]


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


def behind(*nodes, outputs="z", **constants):
    """Return a network whose answer is made of ``y`` by these nodes."""
    arrays = [(name, np.array(numbers)) for name, numbers in constants.items()]
    return network(*nodes, outputs=outputs, constants=arrays)


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


# Weights in other files


ADD = "add_external_initializers_from_files_in_memory"
from_memory = pytest.mark.skipif(
    not hasattr(session.onnxruntime.SessionOptions, ADD), reason="onnxruntime before 1.24"
)


def kept_in(location, name="w", entries=(("length", "31360"),), array=WEIGHT):
    """Return a tensor whose numbers are at a place of another file."""
    tensor = TensorProto(name=name, data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend(array.shape)
    for key, text in (("location", location), ("offset", "0"), *entries):
        tensor.external_data.add(key=key, value=text)
    return tensor


@from_memory
def test_weights_beside_the_model():
    content = network(weight=kept_in("mnist.onnx.data"))
    beside = {"mnist.onnx.data": WEIGHT.tobytes(), "report.txt": b"x", "mnist.onnx": content}
    np.testing.assert_allclose(opened(content, beside).predict(IMAGES), LOGITS, atol=1e-5)


def test_weights_beside_the_model_that_are_not_there():
    content = network(weight=kept_in("mnist.onnx.data"))
    two = dict.fromkeys(("a.data", "Mnist.onnx.data"), WEIGHT.tobytes())
    for beside in ({}, {"weights.txt": WEIGHT.tobytes()}, two):
        reason = refusal(content, beside)
        assert "keeps weights in other files, and 'mnist.onnx.data' is not there" in reason
        assert "hand it in beside the model, under this name, or export it again" in reason
        assert "external_data=False" in reason


@from_memory
def test_weights_that_a_platform_renamed_are_the_only_ones_there():
    content = network(weight=kept_in("weights-2.data"))
    model = opened(content, {"weights.data": WEIGHT.tobytes()})
    np.testing.assert_allclose(model.predict(IMAGES), LOGITS, atol=1e-3)


@from_memory
@pytest.mark.parametrize("size", [0, 31359, 3136])
def test_weights_of_another_export(size):
    data = WEIGHT.tobytes()[:size]
    assert "hand in both files of the same export" in refusal(
        network(weight=kept_in("d")), {"d": data}
    )


@pytest.mark.parametrize(
    "entries",
    [
        [("offset", "4")],
        [("offset", "-4")],
        [("offset", str(2**63 - 1))],
        [("offset", str(2**64))],
        [("offset", "x")],
        [("length", "-1")],
        [("length", "4")],
        [("length", str(2**62))],
    ],
)
def test_places_outside_of_the_file(entries):
    tensor = kept_in("d", entries=())
    for entry in tensor.external_data[1:]:
        if entry.key in dict(entries):
            tensor.external_data.remove(entry)
    for key, text in entries:
        tensor.external_data.add(key=key, value=text)
    refusal(network(weight=tensor), {"d": WEIGHT.tobytes()})


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """A folder to work in, with a file of weights that may not be read, and ways to it."""
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    (folder / "plain").write_bytes(WEIGHT.tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    monkeypatch.chdir(folder)
    return tmp_path / "secret"


@pytest.mark.parametrize(
    "path",
    ["SECRET", "../secret", "link", "plain", "./plain", "x/../plain", "..\\secret", "", ".", "..",
     "plain\0", "file://SECRET", "*/_ORT_MEM_ADDR_/*", "*/_ORT_LE_MEM_ADDR_/*", "/proc/self/mem"],
)  # fmt: skip
def test_no_path_is_opened(secrets, path):
    path = path.replace("SECRET", str(secrets))
    assert "keeps weights in other files" in refusal(network(weight=kept_in(path)))
    beside = dict.fromkeys(["d", "secret", path], WEIGHT.tobytes())
    if path in ("link", "plain"):
        del beside[path]
    assert "keeps weights in other files" in refusal(network(weight=kept_in(path)), beside)


@from_memory
def test_a_name_means_the_submission_s_own_file(secrets):
    other = (2 * WEIGHT).tobytes()
    for name in ("link", "plain"):
        model = opened(network(weight=kept_in(name)), {name: other})
        np.testing.assert_allclose(model.predict(IMAGES), 2 * LOGITS, rtol=1e-4, atol=1e-4)


def test_bytes_that_are_no_text_name_no_file():
    content = network(weight=kept_in("\x7f\x7f")).replace(b"\x7f\x7f", b"\xff\xfe")
    assert "keeps weights in other files" in refusal(content, {r"\xff\xfe": WEIGHT.tobytes()})


def nested(place):
    """Return a model whose weight is in another file, but not in the list of the main graph."""
    tensor, flat = kept_in("plain"), node("Reshape", "x shape", "f")
    body = helper.make_graph(
        [node("MatMul", "f w", "z")], "body", [], [value("z", FLOAT, None)], [tensor]
    )
    constant = helper.make_node("Constant", [], ["w"])
    made = proto([flat, node("MatMul", "f w", "y")], [("w", WEIGHT), ("yes", np.array(True))])
    match place:
        case "condition":
            made.graph.node[1].CopyFrom(
                helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)
            )
        case "constant":
            constant.attribute.add(name="value", type=AttributeProto.TENSOR).t.CopyFrom(tensor)
        case "list of tensors":
            constant.attribute.add(name="value", type=AttributeProto.TENSORS).tensors.append(tensor)
        case "list of graphs":
            constant.attribute.add(name="value", type=AttributeProto.GRAPHS).graphs.append(body)
        case "sparse":
            made.graph.sparse_initializer.add().values.CopyFrom(tensor)
        case "sparse attribute":
            attribute = constant.attribute.add(name="value", type=AttributeProto.SPARSE_TENSOR)
            attribute.sparse_tensor.indices.CopyFrom(tensor)
        case "function":
            function = made.functions.add(name="F", domain="custom")
            function.node.add(op_type="If").attribute.add(name="g").g.CopyFrom(body)
        case "training":
            made.training_info.add().algorithm.CopyFrom(body)
        case "two halves":  # each alone says nothing; onnxruntime merges them
            where = onnx.ModelProto()
            where.graph.node.add().attribute.add().t.external_data.add(
                key="location", value="plain"
            )
            what = constant.attribute.add(name="value", type=AttributeProto.TENSOR)
            what.t.CopyFrom(kept_in("plain"))
            del what.t.external_data[:]
            made.graph.node.insert(0, constant)
            return made.SerializeToString() + where.SerializeToString()
    if constant.attribute:
        made.graph.node.insert(0, constant)
    return made.SerializeToString()


@pytest.mark.parametrize(
    "place",
    ["condition", "constant", "list of tensors", "list of graphs", "sparse", "sparse attribute",
     "function", "training", "two halves"],
)  # fmt: skip
def test_weights_of_nested_parts_are_not_opened_by_path(secrets, place):
    for beside in ({}, {"plain": WEIGHT.tobytes()}):
        assert "keeps weights in other files" in refusal(nested(place), beside)


def test_every_way_to_a_tensor_is_walked():
    ways, seen = {}, [onnx.ModelProto.DESCRIPTOR]
    for message in seen:
        for field in message.fields:
            if field.message_type is not None:
                ways.setdefault(message.name, {})[field.number] = field.message_type.name
                if field.message_type not in seen:
                    seen.append(field.message_type)
    leads = {"TensorProto"}
    for _ in seen:
        leads |= {name for name, inner in ways.items() if leads & set(inner.values())}
    names = {
        **{"model": "ModelProto", "training": "TrainingInfoProto", "function": "FunctionProto"},
        **{"main graph": "GraphProto", "graph": "GraphProto", "node": "NodeProto"},
        **{"attribute": "AttributeProto", "sparse": "SparseTensorProto"},
    }
    assert set(names.values()) | {"TensorProto"} == leads
    for kind, name in names.items():
        wanted = {number for number, inner in ways[name].items() if inner in leads}
        assert set(contents._PARTS[kind]) == wanted, kind
    (number,) = contents._PARTS["tensor"]
    assert TensorProto.DESCRIPTOR.fields_by_number[number].name == "external_data"


def test_an_old_onnxruntime_says_what_to_do(monkeypatch):
    class Options:
        pass

    monkeypatch.setattr(session, "_options", Options)
    reason = refusal(network(weight=kept_in("d")), {"d": WEIGHT.tobytes()})
    assert "here cannot take them along: export it again with all weights inside" in reason
    assert "1.24 or newer" in reason


def test_without_onnxruntime(monkeypatch):
    monkeypatch.setattr(model, "onnxruntime", None)
    assert "pip install -r requirements-grading.txt" in refusal(network())


# Torch's default exporter


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(784, 10, bias=False)
        self.fc.weight.data = torch.from_numpy(WEIGHT.T.copy())

    def forward(self, images):
        return self.fc(images.reshape(len(images), -1))


@pytest.mark.skipif(not importlib.util.find_spec("onnxscript"), reason="no onnxscript")
@pytest.mark.parametrize("is_free", [False, True])
def test_what_torch_exports_by_default(tmp_path, is_free):
    free = {"dynamic_shapes": ({0: torch.export.Dim("N")},)} if is_free else {}
    batch = torch.zeros(2 if is_free else 1, 1, 28, 28)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = str(tmp_path / "mnist.onnx")
        torch.onnx.export(Network().eval(), (batch,), path, verbose=False, **free)
    files = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert set(files) == {"mnist.onnx", "mnist.onnx.data"}
    model = opened(files["mnist.onnx"], files)
    np.testing.assert_allclose(model.predict(IMAGES), LOGITS, atol=1e-5)
    assert model.notes == []
    assert "'mnist.onnx.data' is not there" in refusal(files["mnist.onnx"])


# Files that onnxruntime refuses


def test_too_new():
    highest, opset = supported_versions()
    assert highest >= 10
    assert opset >= 21
    opened(network(ir=highest, opsets={"": 17}))
    reason = refusal(network(ir=99))
    assert "too new: the file has IR version 99, opset 17, and onnxruntime" in reason
    assert f"up to IR version {highest}, opset {opset}: export it again" in reason
    assert "opset_version=17 (skl2onnx: target_opset=17), or set model.ir_version = 10" in reason
    reason = refusal(network(opsets={"": opset + 1}))
    assert f"the file has IR version 9, opset {opset + 1}, and" in reason
    assert reason.endswith("opset_version=17 (skl2onnx: target_opset=17)")
    reason = refusal(network(opsets={"ai.onnx.ml": 99}))
    assert "has IR version 9, opset 17, ai.onnx.ml 99, and" in reason
    assert f"up to IR version {highest}, opset {opset}, ai.onnx.ml " in reason


def test_the_usual_domain_may_be_spelled_out():
    assert read_onnx_file(network(opsets={"ai.onnx": 21})).opsets == {"": 21}


CUSTOM = network(node("Trick", "y", "z", domain="custom"), outputs="z", opsets={"custom": 1})
DOUBLED = [node("Cast", "y", "d", to=TensorProto.BFLOAT16), node("Softmax", "d", "z")]
REFUSED = {
    "custom": (CUSTOM, "uses 'custom:Trick(-1)', an operator that is not part of ONNX (opset 17)"),
    "unknown": (behind(node("Trick", "y", "z")), "uses 'Trick', an operator that is not part of"),
    "bfloat16": (behind(*DOUBLED), "onnxruntime has no '"),
    "nothing": (behind(node("Add", "y nothing", "z")), "cannot open the model, and onnx.checker"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_onnxruntime_refuses(name):
    content, part = REFUSED[name]
    assert part in refusal(content)


# Hostile bytes


WHOLE = network(weight=kept_in("mnist.onnx.data"))
GRAPH = WHOLE[2 : WHOLE.rindex(b"B")]  # between the fields for the versions
assert GRAPH[0] == 7 << 3 | 2


DAMAGED = {
    "empty": b"",
    "text": b"garbage",
    "no graph": b"\x08\x09",
    "page": b"<html>location</html>",
    "zip": b"PK\x03\x04" + bytes(100),
    "cut by one": WHOLE[:-1],
    "a length of 2**64 - 1": b"\x3a" + b"\xff" * 9 + b"\x01location",
    "a number of 12 bytes": b"\x3a" + b"\xff" * 11 + b"\x01location",
    "field 7, if its tag is cut to 32 bits": network() + b"\xba\x80\x80\x80\x10" + GRAPH[1:],
    "field 0": b"\x00\x00" + WHOLE,
    "group": b"\x3b\x3c" + WHOLE,
    "short float": WHOLE + b"\x3d\x00",
    "short double": WHOLE + b"\x39" + bytes(7),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(name):
    assert "not an ONNX model, or a damaged one: export it again" in refusal(DAMAGED[name])


def test_cut_files_are_refused_wherever_they_are_cut():
    for size in range(0, len(WHOLE), 3):
        with pytest.raises(SubmissionError):
            opened(WHOLE[:size])


def test_no_other_error_comes_out_of_flipped_bits():
    for position in range(0, min(len(WHOLE), 600) * 8, 5):
        content = bytearray(WHOLE)
        content[position // 8] ^= 1 << position % 8
        try:
            read_onnx_file(bytes(content))
        except SubmissionError as error:
            assert str(error).isprintable()


def test_onnxruntime_s_own_format():
    assert "(.ort): hand in the .onnx file" in refusal(b"\x08\0\0\0ORTM" + bytes(50))


def field(number, content):
    size, length = len(content), b""
    while size > 0x7F:
        length, size = length + bytes([0x80 | size & 0x7F]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def deep(levels):
    content = field(1, field(3, b"location"))
    for _ in range(levels):
        content = field(1, field(5, field(6, content)))
    return field(7, content)


LONG = {
    "deep": deep(3000),
    "nodes": field(7, field(1, b"location") * 600_000),
    "entry": field(7, field(5, field(13, b"\x0a\x00" * 600_000 + b"location"))),
    "metadata": field(14, field(1, b"") * 600_000),
    "opset": field(8, b"\x10\x01" * 600_000),
    "versions": b"\x08\x01" * 600_000,
}


@pytest.mark.parametrize("name", LONG)
def test_the_walk_is_bounded(name):
    assert ("not an ONNX" if name == "deep" else "more parts than a netw") in refusal(LONG[name])


def test_a_forest_of_a_million_numbers_is_passed_over():
    forest = helper.make_node("TreeEnsembleClassifier", ["x"], ["y"], domain="ai.onnx.ml")
    forest.attribute.add(name="a", type=AttributeProto.INTS).ints.extend([1] * 1_000_000)
    content = proto([forest]).SerializeToString()
    assert read_onnx_file(content).locations == set()


# Where it runs


@from_memory
def test_it_needs_no_file_and_nothing_new_to_import():
    contents = [
        network(weight=kept_in("d"), shape=(7, 784)),
        network(SOFTMAX, outputs="p"),
        pair(text=True, zipped=True)[0],
        network(ir=99),
        network(weight=kept_in("e")),
    ]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            limits.limit_resources(2**30, 20)
            limits.forbid_opening()
            for content in contents[:3]:
                answers = opened(content, {"d": WEIGHT.tobytes()}).predict(IMAGES)
                assert answers.shape == (30, 10)
            refusal(contents[3])
            refusal(contents[4])
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
