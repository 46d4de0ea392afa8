"""Hostile prediction files, and files that are none."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from grading.readers.predictions import looks_like_predictions
from tests.conftest import REPO
from tests.grading.readers.tables import (
    ALONE,
    AS_LABELS,
    AS_PROBABILITIES,
    CLASS_NAMES,
    C,
    N,
    Payload,
    archive,
    changed,
    encoded,
    npy,
    npy_with_header,
    pairs,
    parse,
    reason,
    text,
)
from tests.grading.readers.tool_forms import LABELS_OF_TOOLS, PROBABILITIES_OF_TOOLS

MILLION = 10**6
TOO_MANY_CELLS = 2**20 + 1

HOSTILE = {
    "one line": b"7" * 16 * MILLION,
    "one line of cells": b"7," * TOO_MANY_CELLS,
    "a row of a million columns": b"ImageId,Label\n" + b"7," * MILLION,
    "a header of a million columns": b"a," * MILLION + b"\n1,2\n",
    "wide header, many rows": b"a," * 9000 + b"\n" + b"1\n" * MILLION,
    "empty lines": b"\n" * MILLION,
    "empty rows": b",,\n" * 200_000,
    "spaces": b" " * MILLION + b"\n1,2",
    "rows": b"1\n" * MILLION,
    "bad rows": b"ImageId,Label\n" + b"x,y\n" * 20_000,
    "quotes": b'"' * MILLION,
    "an open quote": b'ImageId,Label\n1,"' + b"2,\n" * MILLION,
    "quoted line breaks": b'ImageId,Label\n1,"' + b"\n" * 100_000 + b'"\n',
    "NUL": bytes(9 * MILLION),
    "brackets": b"[" * 9 * MILLION,
    "a list": b"[" + b"7 " * TOO_MANY_CELLS + b"]",
    "256 MB": bytes(256 * 2**20),
    "half of UTF-16": b"\xff\xfe" + b"\xd8" * 9 * MILLION,
    "signs": b"ImageId,Label\n" + b"+-" * 4 * MILLION,
    "points": b"\n".join([b"1" * 131_000 + b"." + b"1" * 1000] * 60),
    "zip": b"PK\x03\x04" + b"xl" * 8 * MILLION,
    "npy": npy(np.zeros(16 * MILLION, np.uint8)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind):
    assert reason(HOSTILE[kind], num_images=10_000)
    looks_like_predictions(HOSTILE[kind])


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (0, 1" + b"0" * 400 + b"), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (" + b"1" * 1900 + b"), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1000000000000,), }",
        b"{'descr': ('<i8', (1000000000000,)), 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }",
        b"{'descr': __import__('os').getpid(), 'fortran_order': False, 'shape': (1,), }",
        b"(" * 60_000,
        b"{" + b" " * 1990,
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_of_arrays_cost_nothing(header, version):
    content = npy_with_header(header, b"12345678", version)
    assert "save" in reason(content, num_images=10_000)
    assert looks_like_predictions(content), "as somebody has to be told"


def test_no_pickle_is_opened(tmp_path):
    canary = tmp_path / "canary"
    payload = Payload(canary)
    array = np.empty(N, dtype=object)
    array[:] = [payload] * N
    stream = pickle.dumps(payload)
    field = np.empty(1, dtype=[("a", object)])
    field[0] = (payload,)
    header = b"{'descr': '%s', 'fortran_order': False, 'shape': (1,), }"
    for content in (
        npy(array, allow_pickle=True),
        npy(field, allow_pickle=True),
        npy_with_header(header % b"|O", stream),
        npy_with_header(header % b"O8", stream),
        npy_with_header(stream, stream),
        npy_with_header(b"", stream),
        stream,
    ):
        reason(content)
        looks_like_predictions(content)
    assert not canary.exists()
    pickle.loads(stream)
    assert canary.exists(), "the payload does work"


def test_10000_lines_are_read():
    labels = np.random.default_rng(0).integers(10, size=10_000)
    content = text(*(f"{n},{k}" for n, k in enumerate(labels, start=1)), header="ImageId,Label")
    assert parse(content, num_images=10_000).values.tolist() == labels.tolist()


def test_nothing_is_opened_or_imported_while_parsing():
    # As in the sandbox: whatever a codec or numpy wanted to import now would be missing.
    tables = (AS_LABELS, AS_PROBABILITIES, LABELS_OF_TOOLS, PROBABILITIES_OF_TOOLS)
    forms = [encoded(content) for forms in tables for content in forms.values()]
    forms.append(npy(np.array(ALONE, dtype=object), allow_pickle=True))
    refused = [b"\xe9\n\xe9", b"PK\x03\x04", b'Id\t"a"b\t\n', b"Id,\x1b\n", b"\x93NUMPY"]
    script = f"""
import pickle, resource, sys
from grading.readers.predictions import looks_like_predictions, parse_predictions
from common.support.errors import SubmissionError
parse_predictions(b"ImageId,Label\\n1,1\\n", 1, {C})
forms = pickle.load(sys.stdin.buffer)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
before = set(sys.modules)
for content in forms:
    looks_like_predictions(content)
    try:
        parse_predictions(content, {N}, {C})
    except SubmissionError as error:
        print(error)
assert before == set(sys.modules), set(sys.modules) - before
"""
    completed = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(forms + refused),
        capture_output=True,
        cwd=REPO,
    )
    assert completed.returncode == 0, completed.stderr.decode()
    assert len(completed.stdout.splitlines()) == len(refused)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"ImageId,Label\n", True),
        (text(*pairs()[:5], header="Id;Category").replace(",", ";"), True),
        (changed(2, "2,x"), True),
        (text(*pairs("{id},{label},0.9"), header="Id,Label,Confidence"), True),
        (text(*ALONE[:50], header="prediction"), True),
        (",".join(["id", *CLASS_NAMES]) + "\n", True),
        (text(*["7"] * 28_000), True),
        (" ".join(["7"] * 28_000), True),
        (npy(np.zeros(9_999, np.uint8)), True),
        (npy(np.zeros((N, C))), True),
        (npy(np.zeros(N))[:-1], True),
        (changed(2, '2,"3'), True),
        (changed(2, "2,\udce9").encode("utf-8", "surrogateescape"), True),
        (text(*(f"{n},x" for n in range(N)), header="ImageId,Label"), True),
        (b"", False),
        (b"\n\n", False),
        ("epoch,loss,acc\n1,0.3,0.9\n", False),
        ("epoch,accuracy,loss,val_accuracy\n0,0.9,0.2,0.9\n", False),
        (",precision,recall,f1-score,support\n0,0.9,0.9,0.9,980\n", False),
        ("class,precision,recall\n0,0.9,0.9\n", False),
        ("id,class\n0,zero\n1,one\n", False),
        (text(*(f"{n},{1 / (n + 1)}" for n in range(N))), False),
        (text(*(f"{1 / (n + 1)}" for n in range(N))), False),
        ("1,7\n2,2\n", False),
        ("Epoch 1/5 - loss: 0.31\n" * 200, False),
        ("Report\n\nWe reached 98 %, and label smoothing helped.\n", False),
        ("torch==2.3\nnumpy\n", False),
        ("# MNIST\n\nRun `python train.py`.\n", False),
        (npy(np.random.default_rng(0).random(5000)), False),
        (npy(np.zeros((N, 28, 28), np.uint8)), False),
        (npy(np.zeros((N, 784), np.uint8)), False),
        (npy(np.zeros(5)), False),
        (archive("xl/workbook.xml"), False),
        (bytes(range(256)), False),
        (b"\x89PNG\r\n\x1a\n", False),
        ('{"accuracy": 0.98}', False),
    ],
)
def test_logs_and_reports_do_not_look_like_predictions(content, expected):
    assert looks_like_predictions(encoded(content)) is expected
