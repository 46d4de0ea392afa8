"""ONNX files that are too new, damaged or hostile."""

import os

import pytest
from onnx import AttributeProto, TensorProto, helper

from common.support.errors import SubmissionError
from grading.readers.onnx import contents
from grading.readers.onnx.contents import read_onnx_file
from grading.readers.onnx.session import supported_versions
from grading.sandbox.confinement import limits
from tests.grading.readers.onnx_models import (
    IMAGES,
    SOFTMAX,
    WEIGHT,
    behind,
    from_memory,
    kept_in,
    network,
    node,
    opened,
    pair,
    proto,
    refusal,
)


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
    beside = {"mnist.onnx.data": WEIGHT.tobytes()}  # so that nothing but the cut is in the way
    for size in range(0, len(WHOLE), 3):
        with pytest.raises(SubmissionError):
            opened(WHOLE[:size], beside)


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
    "nodes": field(7, field(1, b"location") * 6_000),
    "entry": field(7, field(5, field(13, b"\x0a\x00" * 6_000 + b"location"))),
    "metadata": field(14, field(1, b"") * 6_000),
    "opset": field(8, b"\x10\x01" * 6_000),
    "versions": b"\x08\x01" * 6_000,
}


def test_half_a_million_fields_are_too_many():
    assert "more parts than a netw" in refusal(b"\x08\x01" * 500_001)


@pytest.mark.parametrize("name", LONG)
def test_the_walk_is_bounded_everywhere(monkeypatch, name):
    monkeypatch.setattr(contents, "_MAX_FIELDS", 5000)
    assert ("not an ONNX" if name == "deep" else "more parts than a netw") in refusal(LONG[name])


def test_a_forest_of_a_million_numbers_is_passed_over():
    forest = helper.make_node("TreeEnsembleClassifier", ["x"], ["y"], domain="ai.onnx.ml")
    forest.attribute.add(name="a", type=AttributeProto.INTS).ints.extend([1] * 1_000_000)
    content = proto([forest]).SerializeToString()
    assert read_onnx_file(content).locations == set()


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
