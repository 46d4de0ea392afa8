"""ONNX models, made for the tests."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.support.errors import SubmissionError
from grading.readers.onnx import session
from grading.readers.onnx.model import open_onnx

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


SOFTMAX = node("Softmax", "y", "p")

ARGMAX = node("ArgMax", "y", "c", axis=1, keepdims=0)


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


def behind(*nodes, outputs="z", **constants):
    """Return a network whose answer is made of ``y`` by these nodes."""
    arrays = [(name, np.array(numbers)) for name, numbers in constants.items()]
    return network(*nodes, outputs=outputs, constants=arrays)


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
