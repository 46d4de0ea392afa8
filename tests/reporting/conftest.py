"""What the finished runs of the tests wrote, fresh for each test."""

import functools
import inspect
import pickle

import pytest
from markupsafe import Markup

from reporting.figures import counts, curves, dot_plots, svg
from tests.conftest import read


def drawn_once(draw):
    """Return ``draw`` with a memory: pages share most figures, and drawing is most of a page."""
    drawn = {}

    @functools.wraps(draw)
    def remember(*args, **kwargs):
        key = svg.render, pickle.dumps((args, kwargs))
        if key not in drawn:
            drawn[key] = draw(*args, **kwargs)
        return drawn[key]

    return remember


def in_words(axes, description):
    return Markup("<svg></svg>") + description


@pytest.fixture(scope="session", autouse=True)
def figures_are_drawn_once():
    with pytest.MonkeyPatch.context() as patch:
        for module in (counts, curves, dot_plots):
            for name, function in inspect.getmembers(module, inspect.isfunction):
                if function.__module__ == module.__name__ and not name.startswith("_"):
                    patch.setattr(module, name, drawn_once(function))
        yield


@pytest.fixture
def undrawn(monkeypatch):
    """Pages whose figures are what they say in words, for tests of the text around them."""
    monkeypatch.setattr(svg, "render", in_words)


@pytest.fixture
def evaluation(finished):
    return read(finished.folder / "runs/evaluation.json")


@pytest.fixture
def runs(finished):
    return {n: read(finished.folder / f"runs/{n}/metrics.json") for n in ("base", "improved")}


@pytest.fixture
def page_text(finished):
    return (finished.folder / "runs/report.html").read_text(encoding="utf-8")
