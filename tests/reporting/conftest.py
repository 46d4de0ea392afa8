"""What the finished runs of the tests wrote, fresh for each test."""

import pytest

from tests.conftest import read


@pytest.fixture
def evaluation(finished):
    return read(finished.folder / "runs/evaluation.json")


@pytest.fixture
def runs(finished):
    return {n: read(finished.folder / f"runs/{n}/metrics.json") for n in ("base", "improved")}


@pytest.fixture
def page_text(finished):
    return (finished.folder / "runs/report.html").read_text(encoding="utf-8")
