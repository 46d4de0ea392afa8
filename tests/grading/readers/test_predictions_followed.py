"""The next step of each reason, followed to the letter, makes a file that is graded."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from common.data.catalog import MNIST
from common.support.errors import SubmissionError
from grading.readers.reader import read_submission
from tests.grading.readers.tables import (
    ALONE,
    CLASS_NAMES,
    LABELS,
    PROBABILITIES,
    C,
    N,
    archive,
    npy,
    pairs,
    parse,
    reason,
    savetxt,
    table,
    text,
)

OTHER = (LABELS + 1) % C
BESIDE = [f"{n},{t},{k}" for n, (t, k) in enumerate(zip(OTHER, LABELS, strict=True), start=1)]
TWICE = [f"{row},{row}" for row in table()]
NAMES = [",".join(f"{name}{n}" for n in CLASS_NAMES) for name in "pq"]
KAGGLE = text(*pairs(), header="ImageId,Label")
COLUMN = text(*ALONE, header="cnn")
PREDICTIONS = LABELS  # as the lines in the reasons call them


def run(line):
    """Return what a line of a reason writes."""
    written = {}

    class Saves:
        @staticmethod
        def save(name, array):
            written[name] = npy(np.asarray(array))

        @staticmethod
        def savetxt(name, array, **options):
            written[name] = savetxt(array, **options)

        asarray = staticmethod(np.asarray)

    file = io.StringIO()
    known = {"np": Saves, "json": json, "predictions": PREDICTIONS, "int": int, "file": file}
    exec(line, {"__builtins__": {}}, known)
    return next(iter(written.values()), file.getvalue())


def line_in(found, start):
    """Return the line of code in a reason."""
    return re.match(r"[\w.]+\((?:[^()]|\([^()]*\))*\)", found[found.index(start) :])[0]


@pytest.mark.parametrize(
    ("refused", "step", "followed"),
    [
        (
            text(*pairs("img{id}.png,{label}"), header="file,label"),
            "Hand in the ids under ImageId and the labels under Label",
            KAGGLE,
        ),
        (text(*pairs("img{id}.png,{label}"), header="file,label"), "or the labels alone", COLUMN),
        (
            text(*pairs(), header="Label,ImageId"),
            "swap the two names",
            text(*pairs(), header="ImageId,Label"),
        ),
        (
            text(*pairs("{id},{n}")),
            "begin the file with the line ImageId,Label",
            None,
        ),
        (text(*pairs("{label},{label}")), "hand in the predicted labels alone", text(*ALONE)),
        (text(*pairs("{id},{label},1")), "hand in these two", text(*pairs())),
        (text(*table(PROBABILITIES[:, :9], ids=1)), "10 columns of probabilities", table(ids=1)),
        (
            text(*TWICE, header=",".join(NAMES)),
            "keep one of them",
            text(*table(), header=NAMES[1]),
        ),
        (
            text(
                *(f"{t},{row}" for t, row in zip(OTHER, table(), strict=True)),
                header=f"label,{NAMES[0]}",
            ),
            "keep only what the model predicted",
            text(*table(), header=NAMES[0]),
        ),
        (
            text(*BESIDE, header=",label,cnn"),
            "keep the ids and one column, what your model predicted",
            text(*pairs(), header=",cnn"),
        ),
        (
            text(*BESIDE, header="id,svm,cnn"),
            "keep one of them",
            text(*pairs(), header="id,cnn"),
        ),
        (
            text(*pairs("{id},a,x"), header="id,value,note"),
            "Hand in two columns, named ImageId,Label",
            KAGGLE,
        ),
        (
            text(*(f"{n or C}" for n in LABELS)),
            "hand in label % 10 if 10 stands for the digit 0",
            text(*(f"{(n or C) % 10}" for n in LABELS)),
        ),
        (
            text(*(f"{n + 1}" for n in LABELS), header="x"),
            "or label - 1 if they are positions",
            text(*ALONE, header="x"),
        ),
        (
            text(*[",".join(map(str, row)) for row in np.stack([LABELS, OTHER] * 5, axis=1)]),
            "keep one column, with one label for each test image",
            text(*ALONE),
        ),
        (
            text(
                *[",".join(map(str, row)) for row in np.stack([LABELS, OTHER] * 5, axis=1)],
                header=",".join(f"fold_{n}" for n in range(C)),
            ),
            "keep one column",
            text(*ALONE, header="fold_0"),
        ),
        ("   inst#     actual  predicted error prediction\n     1  8:7  8:7  0.97\n",
         "prediction.CSV -file predictions.csv",
         text(*pairs("{id},1:{label},1:{label},,0.97"),
              header="inst#,actual,predicted,error,prediction")),
        (
            text(*table(), header="1,2,3,4,5,6,7,8,9,10"),
            "or each one less if they are positions",
            text(*table(), header=",".join(CLASS_NAMES)),
        ),
        ("0  7\n..  ..\n9  3\nLength: 120\n", "only the ends", COLUMN),
        (npy(np.stack([LABELS, OTHER, LABELS], axis=1)), "save one row for each", npy(LABELS)),
    ],
)  # fmt: skip
def test_the_step_works(refused, step, followed):
    assert step in reason(refused)
    if followed is not None:
        followed = text(*followed) if isinstance(followed, list) else followed
        values = parse(followed).values
        assert (values if values.ndim == 1 else values.argmax(1)).tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("name", "content", "start"),
    [
        ("a.txt", "[7 2 1 ... 4 5 6]", "np.savetxt("),
        ("a.txt", "array([7, 2, 1, ..., 4, 5, 6])", "json.dump("),
        ("a.json", '{"accuracy": 0.97}', "json.dump("),
        ("a.npy", npy(np.array([{}] * N), allow_pickle=True), "np.save("),
        ("a.npz", archive("arr_0.npy"), "np.save("),
    ],
)
def test_the_line_of_code_works(name, content, start):
    content = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(SubmissionError) as error:
        read_submission([(name, content)], MNIST.sizes, N)
    assert parse(run(line_in(str(error.value), start))).values.tolist() == LABELS.tolist()


def test_the_line_for_a_numpy_array_that_torch_saved_works():
    buffer = io.BytesIO()
    torch.save(LABELS, buffer)
    with pytest.raises(SubmissionError) as error:
        read_submission([("a.pt", buffer.getvalue())], MNIST.sizes, N)
    assert parse(run(line_in(str(error.value), "np.save("))).values.tolist() == LABELS.tolist()


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx", ".xls", ".ods"])
@pytest.mark.parametrize("columns", [{"ImageId": range(1, N + 1), "Label": LABELS}, {"p": LABELS}])
def test_the_line_of_pandas_works(suffix, columns, monkeypatch, tmp_path):
    with pytest.raises(SubmissionError) as error:
        read_submission([(f"a{suffix}", b"PAR1" * 9)], MNIST.sizes, N)
    line = str(error.value)[str(error.value).index("pd.") :]
    for reader in ("read_parquet", "read_feather", "read_excel"):  # their packages are large
        monkeypatch.setattr(pd, reader, lambda name: pd.DataFrame(columns))
    monkeypatch.chdir(tmp_path)
    exec(line, {"pd": pd})
    written = (tmp_path / "predictions.csv").read_bytes()
    assert parse(written).values.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("suffix", "written"),
    [
        (".mat", text(*ALONE)),
        (".rds", text(*pairs('"{id}",{label}'), header='"","x"')),
        (".RData", text(*pairs('"{id}","{label}"'), header='"","x"')),
    ],
)
def test_the_line_of_matlab_and_r_writes_what_is_read(suffix, written):
    with pytest.raises(SubmissionError, match=r"predictions\.csv"):
        read_submission([(f"a{suffix}", b"MATLAB 5.0 MAT-file")], MNIST.sizes, N)
    assert parse(written).values.tolist() == LABELS.tolist()
