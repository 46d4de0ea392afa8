"""What the tests of the scripts share."""

import json

import pytest

from tests.conftest import read


@pytest.fixture
def no_figures(finished, tmp_path):
    """A folder with an evaluation whose page has no figure: drawing takes longest of a report."""
    evaluation = read(finished.folder / "runs/evaluation.json")
    nothing = {"results": [], "comparisons": [], "best": None}
    (tmp_path / "e.json").write_text(json.dumps(evaluation | nothing), encoding="utf-8")
    return tmp_path
