"""What the tests share: the real data set, and the scripts run as processes on a small part of it.

Small means flags that every user has: ``--val-size 57000`` trains on 3,000 real images.
"""

import copy
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST_SPEC
from common.data.download import download
from common.data.idx import encode_idx
from tests.in_process import end_sandboxes, fork_servers, run_evaluate
from tests.processes import CAN_FORK, run_forked

REPO = Path(__file__).resolve().parent.parent

# The files that take longest come first, so that two workers end at about the same time.
LONGEST = (
    *("several_machines", "kills", "notebook", "gradescope", "distributed", "corpus", "scripts"),
    *("without_posix", "sandbox", "resume", "own_runs", "retrain", "datasets", "mistakes"),
    *("faults", "without_walls", "fairness", "playground", "grading", "report", "layouts"),
    *("class_zips", "every_page_in_browser"),
)

NEEDS_BUBBLEWRAP = pytest.mark.skipif(not shutil.which("bwrap"), reason="no bubblewrap")

SMALL = ("--val-size", "57000", "--epochs", "2")
ONE_EPOCH = (*SMALL, "--epochs", "1")


def pytest_collection_modifyitems(items):
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


def in_main_thread():
    return threading.current_thread() is threading.main_thread()


def run(script, *args, cwd, **options):
    """Run a script of the repository as a user would; nothing may end in a traceback."""
    if script == "evaluate.py" and not options and in_main_thread():
        completed = run_evaluate(args, cwd)
    elif options or not CAN_FORK:
        command = [sys.executable, REPO / script, *args]
        shared = {"capture_output": True, "encoding": "utf-8", "timeout": 120}
        completed = subprocess.run(command, cwd=cwd, **shared, **options)
    else:
        completed = run_forked(REPO / script, args, cwd)
    assert "Traceback" not in completed.stderr, completed.stderr
    return completed


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def pytest_sessionfinish():
    end_sandboxes()


@pytest.fixture(scope="session", autouse=True)
def servers_are_forked():
    with fork_servers():
        yield


@pytest.fixture(scope="session")
def data_dir():
    folder = REPO / "data"
    download(MNIST_SPEC, folder)
    return folder


@pytest.fixture(scope="session")
def train_images(data_dir) -> LabelledImages:
    return load_split(MNIST_SPEC, data_dir, "train")


@pytest.fixture(scope="session")
def test_images(data_dir) -> LabelledImages:
    return load_split(MNIST_SPEC, data_dir, "test")


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory, train_images, test_images):
    """Flags to train on few images of MNIST, as images of one's own: in a quarter of the time."""
    folder = tmp_path_factory.mktemp("few")
    for name, images, count in (("train", train_images, 3300), ("t10k", test_images, 500)):
        for kind, array in (("images-idx3", images.images), ("labels-idx1", images.targets)):
            content = encode_idx(array[:count].astype(np.uint8))
            (folder / f"{name}-{kind}-ubyte").write_bytes(content)
    return "--dataset", "idx", "--data-dir", str(folder), "--val-size", "300"


@pytest.fixture
def workspace(tmp_path, data_dir):
    """An empty folder to work in, with the data set in place."""
    (tmp_path / "data").symlink_to(data_dir)
    return tmp_path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Return a function that lets one of the workers fill a folder, which nobody changes then.

    What fills it gets the folder and returns what scripts ended with; all have these by their names
    as attributes, beside the ``folder``.
    """
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place

    def make(name, fill):
        folder, ended = place / name, place / f"{name}.json"
        with FileLock(place / f"{name}.lock"):
            if not ended.exists():
                folder.mkdir()
                keys = ("args", "returncode", "stdout", "stderr")
                calls = {
                    script: [getattr(call, key) for key in keys]
                    for script, call in fill(folder).items()
                }
                ended.write_text(json.dumps(calls, default=str), encoding="utf-8")
        calls = {script: CompletedProcess(*call) for script, call in read(ended).items()}
        return SimpleNamespace(folder=folder, **calls)

    return make


@pytest.fixture(scope="session")
def finished(made_once, data_dir):
    """A folder in which the four scripts have run, and what each of them printed."""

    def run_all(folder):
        (folder / "data").symlink_to(data_dir)
        with ThreadPoolExecutor() as pool:
            base = pool.submit(run, "train_base.py", *SMALL, cwd=folder)
            improved = run("train_improved.py", *SMALL, cwd=folder)
        return {
            "base": base.result(),
            "improved": improved,
            "evaluation": run("evaluate.py", "--threshold", "80", cwd=folder),
            "report": run("report.py", cwd=folder),
        }

    return made_once("finished", run_all)


@pytest.fixture(scope="session")
def shown(made_once, finished):
    """The better of the small runs as a playground, and what the scripts said of it."""

    def show(folder):
        shutil.copytree(finished.folder / "runs", folder / "runs")
        (folder / "data").symlink_to(finished.folder / "data")
        flags = ("--playground", "--threshold", "80", "--output", "shown/evaluation.json")
        return {
            "evaluated": run("evaluate.py", *flags, cwd=folder),
            "rendered": run("report.py", "--playground", "shown/playground.json", cwd=folder),
        }

    made = made_once("shown", show)
    made.folder /= "shown"
    made.document = read(made.folder / "playground.json")
    made.page = (made.folder / "playground.html").read_text(encoding="utf-8")
    return made


@pytest.fixture
def document(shown):
    return copy.deepcopy(shown.document)


@pytest.fixture(scope="session")
def good_checkpoint(finished):
    import torch  # here: the process that hands out the tests needs none

    return torch.load(finished.folder / "runs/base/checkpoint.pth", weights_only=True)
