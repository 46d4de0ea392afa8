"""Prediction files: every form that has one meaning."""

import numpy as np
import pytest

from grading.readers.predictions import looks_like_predictions
from tests.grading.readers.tables import (
    AS_LABELS,
    AS_PROBABILITIES,
    KAGGLE,
    LABELS,
    LOGITS,
    PROBABILITIES,
    C,
    N,
    encoded,
    npy,
    parse,
    table,
    text,
)
from tests.grading.readers.tool_forms import LABELS_OF_TOOLS, PROBABILITIES_OF_TOOLS

# Forms of people, and what tools write and print.
LABEL_FORMS = AS_LABELS | LABELS_OF_TOOLS
PROBABILITY_FORMS = AS_PROBABILITIES | PROBABILITIES_OF_TOOLS


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_labels_are_the_same_in_every_form(form):
    found = parse(LABEL_FORMS[form])
    assert found.values.dtype == np.uint8
    assert found.values.tolist() == LABELS.tolist()


@pytest.mark.parametrize("form", PROBABILITY_FORMS)
def test_probabilities_are_the_same_in_every_form(form):
    found = parse(PROBABILITY_FORMS[form])
    assert found.values.dtype == np.float64
    np.testing.assert_allclose(found.values, PROBABILITIES, rtol=1e-6)


@pytest.mark.parametrize("form", [*LABEL_FORMS, *PROBABILITY_FORMS])
def test_all_that_is_read_looks_like_predictions(form):
    assert looks_like_predictions(encoded({**LABEL_FORMS, **PROBABILITY_FORMS}[form]))


@pytest.mark.parametrize(
    "form",
    [
        npy(np.eye(C, dtype=bool)[LABELS]),
        text(*table(np.eye(C)[LABELS])),
        text(*table(np.eye(C, dtype=bool)[LABELS]), header="0,1,2,3,4,5,6,7,8,9"),
    ],
)
def test_one_hot_rows_are_probabilities(form):
    found = parse(form)
    assert found.values.tolist() == np.eye(C)[LABELS].tolist()


def test_rounded_probabilities_are_scaled_to_sum_to_1():
    found = parse(text(*table(form="{:.2f}")))
    np.testing.assert_allclose(found.values.sum(axis=1), 1)
    np.testing.assert_allclose(found.values, PROBABILITIES, atol=0.03)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (KAGGLE, None),
        (AS_LABELS["semicolons"], None),
        (AS_LABELS["ids from 0"], f"ids 0 to {N - 1} were counted from 0"),
        (AS_LABELS["labels alone"], "in the order of the test images"),
        (AS_LABELS["pandas' index"], "columns left out: (no name)"),
        (AS_LABELS["another column"], "columns left out: 'Confidence'"),
        (AS_LABELS["pandas without names and index"], "the first line, '0', was read as pandas'"),
        (AS_LABELS["no header, other order"], "the second column has the ids"),
        (AS_PROBABILITIES["ids"], None),
        (AS_PROBABILITIES["logits"], "read as logits (softmax)"),
        (AS_PROBABILITIES["percent"], "read as percent"),
        (text(*table(form="{:.0f}", values=LOGITS // 4)), "in 0 rows"),
        (text("0.5,0.5", *table(np.eye(2)[LABELS[1:] % 2])), "in 1 rows several values"),
    ],
)
def test_notes_say_what_was_decided(content, note):
    if note == "in 0 rows":
        assert not any("several values" in note for note in parse(content).notes)
    elif note is None:
        assert parse(content).notes == []
    else:
        found = parse(content, num_classes=2 if "several" in note else C)
        assert any(note in given for given in found.notes)
