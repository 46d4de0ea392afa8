"""What all tests in a browser share: the browser, the playground in it, and the other pages.

The network is the better one of the small trainings that all tests share, with 3,000 images.
"""

import functools
from types import SimpleNamespace

import pytest

from common.checkpoints import load_checkpoint
from reporting.comparison import render_comparison
from reporting.figures.counts import accuracy_distribution
from reporting.pages import render_report
from reporting.student_pages import render_feedback
from reporting.study import render_study
from tests.browser.browsing import chromium, opened, unexpected, visit
from tests.conftest import REPO, read
from tests.reporting.states import STATES


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def tab(browser):
    with opened(browser, "about:blank") as tab:
        yield tab


@pytest.fixture(scope="session")
def playground(shown):
    """The page, the file it was rendered from, and the checkpoint that this was made of."""
    return SimpleNamespace(
        url=(shown.folder / "playground.html").as_uri(),
        document=shown.document,
        model=load_checkpoint(shown.folder / "mnist_classifier_best.pth").model,
    )


@pytest.fixture(scope="session")
def url_of(finished, tmp_path_factory):
    """Returns the address of a page, which is rendered once: a report in a state, or several."""
    folder = tmp_path_factory.mktemp("pages")
    evaluation = read(finished.folder / "runs/evaluation.json")
    runs = {n: read(finished.folder / f"runs/{n}/metrics.json") for n in ("base", "improved")}

    def several():
        states = {name: STATES[name](evaluation, runs) for name in ("default", "submissions")}
        evaluations, runs_of_each = ({n: s[part] for n, s in states.items()} for part in (0, 1))
        return render_comparison(evaluations, runs_of_each, {})

    def study():
        return render_study(read(REPO / "bench/results/claims.json"), checksum="")

    def feedback(status):
        graded, _ = STATES["submissions"](evaluation, runs)
        accuracies = [row["accuracy"] for row in graded["results"] if row["status"] != "error"]
        row = next(row for row in graded["results"] if row["status"] == status)
        figure = accuracy_distribution(accuracies, graded["threshold"], marked=0)
        return render_feedback(graded, len(accuracies), row, figure)

    def render_text(name):
        if name in STATES:
            return render_report(*STATES[name](evaluation, runs), {})
        page, *status = name.split()
        return {"several": several, "study": study, "feedback": feedback}[page](*status)

    @functools.cache
    def render(name):
        page = folder / f"{name}.html"
        page.write_text(render_text(name), encoding="utf-8")
        return page.as_uri()

    return render


@pytest.fixture
def page(tab, playground):
    """The page, wide and light; whatever a test does, it asks for nothing and is quiet."""
    page, heard = visit(tab, playground.url)
    yield page
    assert unexpected(heard, playground.url) == []
