"""Weights of an ONNX model in other files: read beside it, and never by path."""

import importlib.util
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import AttributeProto, TensorProto, helper

from grading.readers.onnx import contents, model, session
from tests.grading.readers.onnx_models import (
    FLOAT,
    IMAGES,
    LOGITS,
    WEIGHT,
    from_memory,
    kept_in,
    network,
    node,
    opened,
    proto,
    refusal,
    value,
)


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
@pytest.mark.parametrize("suffix", [".data", ".onnx_data", ".weights"])
def test_weights_under_their_own_name_come_before_any_others(suffix):
    beside = {"w.bin": WEIGHT.tobytes(), f"x{suffix}": (2 * WEIGHT).tobytes()}
    model = opened(network(weight=kept_in("w.bin")), beside)
    np.testing.assert_allclose(model.predict(IMAGES), LOGITS, atol=1e-3)
    model = opened(network(weight=kept_in("gone.bin")), beside)
    np.testing.assert_allclose(model.predict(IMAGES), 2 * LOGITS, atol=1e-3)


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
