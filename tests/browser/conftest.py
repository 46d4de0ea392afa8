"""What all tests in a browser share: the browser, and the playground in it.

The network is the better one of the small trainings that all tests share, with 3,000 images.
"""

from types import SimpleNamespace

import pytest

from common.checkpoints import load_checkpoint
from tests.browser.browsing import chromium, opened, unexpected
from tests.conftest import read, run


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def playground(finished):
    """The page, the file it was rendered from, and the checkpoint that this was made of."""
    folder = finished.folder / "drawn"
    flags = ("--playground", "--exit-zero", "--output", "drawn/evaluation.json")
    run("evaluate.py", *flags, cwd=finished.folder, check=True)
    run("report.py", "--playground", "drawn/playground.json", cwd=finished.folder, check=True)
    return SimpleNamespace(
        url=(folder / "playground.html").as_uri(),
        document=read(folder / "playground.json"),
        model=load_checkpoint(folder / "mnist_classifier_best.pth").model,
    )


@pytest.fixture
def page(browser, playground):
    """The page, wide and light; whatever a test does, it asks for nothing and is quiet."""
    with opened(browser, playground.url) as (page, heard):
        yield page
        assert unexpected(heard, playground.url) == []
