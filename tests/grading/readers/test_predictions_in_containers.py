"""Predictions in .npz and JSON files, as arrays of objects, and as torch.save writes them."""

import io
import json
import pickle

import numpy as np
import pytest
import torch

from common.data.catalog import MNIST
from common.support.errors import SubmissionError
from grading.readers.predictions import looks_like_predictions
from grading.readers.reader import read_submission
from tests.grading.readers.tables import (
    ALONE,
    CLASS_NAMES,
    LABELS,
    LOGITS,
    ORDER,
    PROBABILITIES,
    C,
    N,
    Payload,
    npy,
    npy_with_header,
    parse,
    reason,
)


def npz(save=np.savez, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def objects(values, shape=(N,)):
    array = np.empty(N, dtype=object)
    array[:] = values
    return npy(array.reshape(shape), allow_pickle=True)


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def grade(name, content, num_images=N):
    answers = read_submission([(name, content)], MNIST.sizes, num_images).answers
    return answers.classes if hasattr(answers, "classes") else answers.logits.argmax(axis=1)


def why(name, content):
    with pytest.raises(SubmissionError) as error:
        grade(name, content)
    assert 10 < len(str(error.value)) <= 600
    return str(error.value)


OTHER = (LABELS + 1) % C
SHUFFLED = {int(n): int(LABELS[n]) for n in ORDER}
ROWS = torch.tensor(PROBABILITIES)

ARRAYS = {
    "npz": npz(arr_0=LABELS),
    "npz, compressed": npz(np.savez_compressed, predictions=LABELS.astype(np.uint8)),
    "npz of probabilities": npz(p=PROBABILITIES),
    "npz with the truth": npz(y_true=OTHER, y_pred=LABELS),
    "npz with a history": npz(predictions=LABELS, loss=np.zeros(3)),
    "npz of ids and labels": npz(ids=ORDER, labels=LABELS[ORDER]),
    "npz of both": npz(pred=LABELS, proba=np.roll(PROBABILITIES, 1, axis=1)),
    "npz of text": npz(p=np.array(ALONE)),
    "text": npy(np.array(ALONE)),
    "bytes": npy(np.array(ALONE, dtype="S1")),
    "text column": npy(np.array(ALONE)[:, None]),
    "objects": objects(LABELS.tolist()),
    "objects of text": objects(ALONE),
    "objects of text, as scikit-learn has them": objects([str(C)[:0] + k for k in ALONE]),
    "objects of floats": objects(LABELS.astype(float).tolist()),
    "a column of objects": objects(LABELS.tolist(), (N, 1)),
    "a row of objects": objects(LABELS.tolist(), (1, N)),
}

TORCH = {
    "tensor": torch.tensor(LABELS),
    "uint8": torch.tensor(LABELS, dtype=torch.uint8),
    "floats": torch.tensor(LABELS, dtype=torch.bfloat16),
    "column": torch.tensor(LABELS)[:, None],
    "not contiguous": torch.tensor(np.stack([LABELS, OTHER], axis=1))[:, 0],
    "needs a gradient": torch.tensor(LOGITS, requires_grad=True),
    "probabilities": ROWS,
    "half": torch.tensor(LOGITS).half(),
    "list": LABELS.tolist(),
    "tuple": tuple(LABELS.tolist()),
    "list of numpy's": list(LABELS),
    "list of text": ALONE,
    "list of tensors": [torch.tensor(k) for k in LABELS],
    "batches": [torch.tensor(LABELS[:100]), torch.tensor(LABELS[100:])],
    "batches of rows": list(ROWS.split(50)),
    "rows as lists": PROBABILITIES.tolist(),
    "dictionary": {"predictions": torch.tensor(LABELS)},
    "any name": {"test": torch.tensor(LABELS), "accuracy": 0.98},
    "with the truth": {"preds": torch.tensor(LABELS), "targets": torch.tensor(OTHER)},
    "with probabilities": {"y_pred": torch.tensor(LABELS), "probs": ROWS.roll(1, dims=1)},
    "logits by name": {"logits": torch.tensor(LOGITS), "epoch": 3},
    "a list by name": {"predictions": LABELS.tolist()},
    "batches by name": {"predictions": list(torch.tensor(LABELS).split(32))},
    "ids": {"ids": torch.tensor(ORDER), "labels": torch.tensor(LABELS[ORDER])},
    "by id": SHUFFLED,
    "by id as text": {str(n): k for n, k in SHUFFLED.items()},
}


@pytest.mark.parametrize("form", ARRAYS)
def test_arrays_are_read_from_any_container(form):
    values = parse(ARRAYS[form]).values
    assert (values if values.ndim == 1 else values.argmax(axis=1)).tolist() == LABELS.tolist()
    assert looks_like_predictions(ARRAYS[form])
    assert grade("p.npz" if form.startswith("npz") else "p.npy", ARRAYS[form]).tolist() == list(
        LABELS
    )


@pytest.mark.parametrize("form", TORCH)
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_what_torch_saved_is_read(form, suffix):
    assert grade(f"predictions{suffix}", saved(TORCH[form])).tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (torch.zeros(N - 1, dtype=torch.int64), f"shape '({N - 1},)', expected ({N},)"),
        (torch.zeros(N, 28, 28), "an array of the shape '(120, 28, 28)'"),
        (torch.zeros(1).expand(10**6, 10**6), "larger than predictions are"),
        (torch.zeros(N, dtype=torch.complex64), "np.save('predictions.npy', predictions.numpy())"),
        (torch.zeros(N).to_sparse(), "sparse"),
        (torch.full((N, C), torch.nan), "NaN or infinite"),
        (torch.full((N,), torch.nan), "label 'nan' is not 0 to 9"),
        (torch.tensor(LABELS > 4), "an array of True and False"),
        (torch.tensor(LABELS + 1), "labels run from 1 to 10"),
        (torch.tensor(np.stack([LABELS] * C, axis=1)), "columns of whole digits"),
        ([2**2000] * N, "is not 0 to 9"),
        ({"predictions": torch.tensor(LABELS)[1:]}, "119 rows of predictions, expected 120"),
        ({"p": torch.zeros(N, dtype=torch.int64), "q": torch.tensor(LABELS)}, "2 columns can be"),
        ({"predictions": torch.zeros(1).expand(10**9)}, "more numbers than predictions have"),
        ([torch.zeros(N - 3), torch.zeros(3, 1)], "batches of several shapes"),
        (LABELS, "np.save('predictions.npy', predictions)"),
        # weights stay weights
        ([{"fc1.weight": torch.zeros(2, 2)}], "not a state_dict"),
        ([torch.zeros(512, 784), torch.zeros(512)], "not a state_dict"),
        ({"weight": torch.zeros(N, 784), "bias": torch.zeros(N)}, "network"),
        ({"conv.weight": torch.zeros(N, C), "conv.bias": torch.zeros(N)}, "network"),
    ],
)
def test_other_things_of_torch_say_what_to_save(value, part):
    assert part in why("a.pt", saved(value))


NESTED = "[" * 100_000 + "]" * 100_000
BOMBS = {
    "deep": NESTED,
    "deep to the side": "[" + "[]," * 1000 + "[[]," * 50_000 + "1" + "]" * 50_001,
    "deep dictionaries": '{"a":' * 60_000 + "1" + "}" * 60_000,
    "a long number": json.dumps(LABELS.tolist())[:-1] + ", " + "9" * 4_000_000 + "]",
    "many lists": "[" + "[]," * 10**5 + "[]]",
    "one name, then none": f"[{json.dumps(dict.fromkeys(CLASS_NAMES, 1))}{',{}' * 10**6}]",
    "a wide dictionary": json.dumps({str(n): [1] for n in range(10_001)}),
    "columns of nothing": json.dumps({"a": [], "b": []}),
    "text": '"' + "a" * 300_000 + '"',
    "NaN": json.dumps([float("nan")] * 10_000),
    "infinite": json.dumps([[float("inf")] * C] * 10_000),
    "1e999": "[" + "1e999," * 9_999 + "1]",
    "true": json.dumps([True] * 10_000),
    "null": json.dumps([None] * 10_000),
    "lists in dictionaries": json.dumps({"a": [[{"b": 1}]] * 10_000}),
    "a report": json.dumps({"accuracy": 0.98, "loss": 0.1}),
    "half": json.dumps(LABELS.tolist())[:-20],
    "surrogates": '["\\ud800"]',
    "printed, open": "[np.int64(" * 10**5,
    "frames": "+--+\n" * 10**5,
    "comments": "# a\n" * 300_000,
    "blanks and quotes": '"a ' * 10**5,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_hostile_text_is_refused(kind):
    assert reason(BOMBS[kind].encode(), num_images=10_000)
    looks_like_predictions(BOMBS[kind].encode())


def test_a_bomb_of_an_npz_is_refused_by_its_size():
    content = npz(np.savez_compressed, p=np.zeros(257 * 2**20, np.uint8))
    assert len(content) < 2**20
    assert "expands to more than 256 MiB" in reason(content)
    assert looks_like_predictions(content), "as somebody has to be told"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (npz(a=LABELS[1:]), "an array of the shape '(119,)'"),
        (npz(a=LABELS, b=OTHER), "2 columns can be the predictions ('a', 'b'): keep one of them"),
        (npz(x_test=np.zeros((N, 28, 28), np.uint8), y_test=LABELS), "'y_test' is the truth by"),
        (npz(a=np.where(LABELS == 3, np.nan, PROBABILITIES[:, 0])), "is not a whole number"),
        (npz(labels=OTHER, logits=LOGITS), "'labels' is not the class of the largest value"),
        (npz(arr_0=PROBABILITIES, arr_1=OTHER), "'arr_1' is not the class of the largest value"),
        (npz(probs_v2=PROBABILITIES, labels=OTHER), "'labels' is not the class of the largest"),
        (npz(X=np.zeros((N, 28, 28), np.uint8), y=OTHER), "'y' can be the true labels"),
        (npz(features=np.zeros((N, 64)), labels=OTHER), "'labels' can be the true labels"),
        (npz(a=LABELS)[:-30], "damaged"),
        (npz(), "zip"),
        (objects([{"a": 1}] * N), "np.asarray(predictions, dtype=int)"),
        (objects([[7]] * N), "np.asarray(predictions, dtype=int)"),
        (objects(["7" * 40] * N), "np.asarray(predictions, dtype=int)"),
        (objects([2**200] * N), "np.asarray(predictions, dtype=int)"),
        (objects([None] * N), "np.asarray(predictions, dtype=int)"),
        (npy(np.array([f"{k} x" for k in LABELS])), "is not 0 to 9"),
        (
            npy_with_header(
                b"{'descr': '<U1', 'fortran_order': False, 'shape': (120,), }", b"\xff" * 480
            ),
            "a damaged .npy file",
        ),
    ],
)
def test_other_arrays_say_what_to_save(content, part):
    assert part in reason(content)


def test_a_data_set_beside_a_model_is_no_prediction():
    content = npz(x_test=np.zeros((N, 28, 28), np.uint8), y_test=LABELS)
    assert not looks_like_predictions(content)


def test_object_arrays_run_no_code(tmp_path):
    canary = tmp_path / "canary"
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (120,), }"
    whole = objects(LABELS.tolist())
    pickled = whole[whole.index(b"\x80\x04") :]
    for stream in (
        pickle.dumps([*LABELS.tolist()[1:], Payload(canary)]),
        pickle.dumps(Payload(canary)) + pickled,
        pickled[:-1] + pickle.dumps(Payload(canary))[2:],
        b"\x80\x04]" + b"r\xff\xff\xff\x7f" * 1000 + b"t.",
        b"\x80\x04](" + b"K\x07" * 3_000_000,
        b"\x80\x04](\x8b\xff\xff\xff\x7f1",
        b"\x80\x04](" + b"I" + b"9" * 10**6 + b"\nt",
    ):
        for content in (npy_with_header(header, stream), npy_with_header(header, stream, 2)):
            try:
                parse(content)
            except SubmissionError as error:
                assert "allow_pickle" in str(error)
            looks_like_predictions(content)
    assert not canary.exists()
