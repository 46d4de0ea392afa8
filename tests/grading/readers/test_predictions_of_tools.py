"""Prediction files as tools write and print them."""

import numpy as np
import pytest

from grading.readers.predictions import looks_like_predictions
from tests.grading.readers.tables import LABELS, PROBABILITIES, encoded, parse
from tests.grading.readers.tool_forms import LABELS_OF_TOOLS, PROBABILITIES_OF_TOOLS


@pytest.mark.parametrize("form", LABELS_OF_TOOLS)
def test_labels_are_read(form):
    found = parse(LABELS_OF_TOOLS[form])
    assert found.values.dtype == np.uint8
    assert found.values.tolist() == LABELS.tolist()


@pytest.mark.parametrize("form", PROBABILITIES_OF_TOOLS)
def test_probabilities_are_read(form):
    found = parse(PROBABILITIES_OF_TOOLS[form])
    np.testing.assert_allclose(found.values, PROBABILITIES, rtol=1e-6)


@pytest.mark.parametrize("form", [*LABELS_OF_TOOLS, *PROBABILITIES_OF_TOOLS])
def test_they_look_like_predictions(form):
    content = {**LABELS_OF_TOOLS, **PROBABILITIES_OF_TOOLS}[form]
    assert looks_like_predictions(encoded(content))
