"""The autograder's zip file, built and run in a copy of Gradescope's layout.

What setup.sh installs is stood in for by the environment of the tests; the rest is what is in the
zip file, started as Gradescope starts it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from common.data.idx import encode_idx
from common.models import MNISTClassifier
from platforms.gradescope.grade import when_handed_in
from tests.conftest import REPO
from tests.grading.corpus import saved
from tests.grading.corpus.onnx_models import endless
from tests.grading.corpus.pickles import Payload
from tests.platforms.autograder import (
    METADATA,
    build,
    grade,
    grade_here,
    make_layout,
    npy_of,
    read_results,
)

EXTENSION = {"due_date": "2026-12-03T23:00:00.000000+01:00"}

MODELS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.only = nn.Linear(784, 10)

    def forward(self, x):
        return self.only(x.flatten(1)).tanh()
"""


@pytest.fixture(scope="module")
def private_set(tmp_path_factory, test_images):
    """The last 300 test images, upside down, in two orders."""
    places = []
    for step in (1, -1):
        folder = tmp_path_factory.mktemp("private")
        images = np.ascontiguousarray(test_images.images[-300:, ::-1][::step])
        labels = test_images.targets[-300:][::step].astype(np.uint8)
        (folder / "own-images-idx3-ubyte").write_bytes(encode_idx(images))
        (folder / "own-labels-idx1-ubyte").write_bytes(encode_idx(labels))
        places.append(folder)
    return places


@pytest.fixture(scope="module")
def layout():
    folders = []

    def make(archive):
        folders.append(make_layout(archive))
        return folders[-1]

    yield make
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zip")
    (folder / "assignment.py").write_text(MODELS)
    flags = ("--timeout", "2", "--threshold", "80", "--models", folder / "assignment.py")
    path, completed = build(folder, *flags)
    assert completed.returncode == 0, completed.stderr
    return path


@pytest.fixture(scope="module")
def public(archive, layout):
    return layout(archive)


def statuses(graded):
    return [test["status"] for test in graded.results["tests"]]


def test_what_is_good_passes_whatever_its_name_and_what_lies_beside_it(public, good_checkpoint):
    good = saved(good_checkpoint["model_state_dict"])
    passed = grade(public, {"$(touch x).pth": good, "notes.txt": b"mine"})
    assert statuses(passed) == ["passed", "passed"]
    assert passed.results["score"] > 80
    read, verdict = (test["output"] for test in passed.results["tests"])
    assert "Read as a checkpoint of PyTorch, MNISTClassifier, 567,434 parameters." in read
    assert re.search(r"SHA-256: [0-9a-f]{64}", read)
    interval = r"% \(95 % interval [\d.]+ to [\d.]+\)"
    assert re.search(rf"Passed: \d{{4}} of 10000 images recognised, [\d.]+ {interval}", verdict)
    assert [entry["name"] for entry in passed.results["leaderboard"]] == ["Accuracy", "Parameters"]
    assert "Handed in 2026-12-01T23:10:00.365935+01:00, due" in passed.printed
    assert ": late." in passed.printed
    assert "\x1b" not in passed.printed


def test_fail_hostile_empty_and_link(public, tmp_path):
    """The labels are root's: a link to what lies beside them is no way in."""
    torch.manual_seed(0)
    bad = saved(MNISTClassifier().state_dict())
    canary = tmp_path / "canary"
    payload = saved({"fc1.weight": Payload(canary)})

    failed = grade_here(public, {"model.pth": bad})
    assert statuses(failed) == ["passed", "failed"]
    assert failed.results["score"] < 30
    assert "Below the threshold of 80 %: " in failed.results["output"]
    assert "Train it better and hand in again" in failed.results["tests"][1]["output"]

    for files, words in (
        ({"model.pth": payload}, "code"),
        ({}, "no file to grade: hand in one of"),
        ({"model.csv": public / "source/settings.json"}, "link that leads outside"),
    ):
        refused = grade_here(public, files)
        assert statuses(refused) == ["failed", "failed"], files.keys()
        assert refused.results["score"] == 0
        assert "leaderboard" not in refused.results
        assert words in refused.results["tests"][0]["output"]
        assert words in refused.results["output"]
    assert not canary.exists()


def test_user_without_rights_grades_as_root_does(public, good_checkpoint):
    """As root a submission's process becomes another user; any other user stays who he is."""
    passed = grade(public, {"model.pth": saved(good_checkpoint["model_state_dict"])}, "other")
    assert statuses(passed) == ["passed", "passed"]


@pytest.mark.long
def test_user_without_rights_confines_as_root_does(public, tmp_path):
    canary = tmp_path / "canary"
    hostile = grade(public, {"model.pth": saved({"fc1.weight": Payload(canary)})}, "other")
    assert "code" in hostile.results["output"]
    assert not canary.exists()
    refused = grade(public, {"model.onnx": endless()}, "other")
    assert statuses(refused) == ["failed", "failed"]
    assert "2 s" in refused.results["output"]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "No time of the submission"),
        (b"", "No time of the submission"),
        (b"[]", "No time of the submission"),
        (b'{"created_at": 5}', "No time of the submission"),
        (b"\xff", "No time of the submission"),
        (b"[" * 100_000, "No time of the submission"),
        (json.dumps(METADATA).encode(), ": late."),
        (json.dumps({**METADATA, "users": [{"assignment": EXTENSION}]}).encode(), ": in time."),
        (json.dumps({**METADATA, "assignment": {"due_date": None}}).encode(), "no due date"),
    ],
)
def test_metadata_is_not_needed(tmp_path, metadata, words):
    path = tmp_path / "submission_metadata.json"
    if metadata is not None:
        path.write_bytes(metadata)
    assert words in when_handed_in(path)


@pytest.mark.long
def test_results_are_there_when_the_grading_itself_is_not(archive, layout, tmp_path):
    """Whatever breaks is no grade, says so, and tells instructors more."""
    short, completed = build(tmp_path, "--timeout", "0.1", "--time-limit", "0.2")
    assert completed.returncode == 0, completed.stderr
    slow = grade(layout(short), {"model.csv": b"1\n"})
    assert "took more than 0.2 seconds. This is no grade." in slow.results["output"]
    assert "status -9" in slow.printed
    # What comes after the grade takes nothing away from it.
    root = layout(archive)
    settings = root / "source/settings.json"
    settings.write_text(settings.read_text().replace('"time_limit": 540', '"time_limit": 20'))
    (root / "submission_metadata.json").unlink()
    os.mkfifo(root / "submission_metadata.json")
    with ThreadPoolExecutor() as pool:
        stalled = pool.submit(grade, root, {"model.npy": npy_of(np.zeros(10_000, np.uint8))})
        for name in ("settings.json", "data/MNIST/raw/t10k-labels-idx1-ubyte", ".venv/bin/python"):
            broken = layout(archive)
            (broken / "source" / name).write_bytes(b"#!/bin/false\n")
            command = [broken / "source/run_autograder"]
            environment = {**os.environ, "AUTOGRADER_ROOT": str(broken)}
            subprocess.run(command, env=environment, capture_output=True, timeout=120)
            assert "broke off before its end. This is no grade." in read_results(broken)["output"]
            assert read_results(broken)["score"] == 0
    assert stalled.result().results["score"] == 9.8
    assert "ended after 20 seconds" in stalled.result().printed


def test_what_ends_the_autograder_ends_the_grading(tmp_path):
    """And a folder in the place of the results gives way."""
    (tmp_path / "results/results.json/inner").mkdir(parents=True)
    python = tmp_path / "source/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho $$ > pid.new && mv pid.new pid\nexec sleep 300\n")
    python.chmod(0o755)
    (tmp_path / "source/settings.json").write_text('{"time_limit": 300}')
    environment = {**os.environ, "AUTOGRADER_ROOT": str(tmp_path)}
    process = subprocess.Popen([REPO / "platforms/gradescope/run_autograder"], env=environment)
    while not (tmp_path / "source/pid").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "source/pid").read_text()), 0)
    assert "broke off before its end. This is no grade." in read_results(tmp_path)["output"]


@pytest.mark.parametrize("orders", [1, pytest.param(2, marks=pytest.mark.long)])
def test_private_test_set_stays_private(private_set, good_checkpoint, layout, tmp_path, orders):
    """What a student sees is the same, whatever the order of the images is."""
    content = saved(good_checkpoint["model_state_dict"])
    archive, completed = build(tmp_path, "--test-set", private_set[0], "--threshold", "20.5")
    assert completed.returncode == 0, completed.stderr
    names = zipfile.ZipFile(archive).namelist()
    assert not [name for name in names if "t10k" in name or "own-" in name]
    root = layout(archive)
    seen = []
    for folder in private_set[:orders]:
        for path in folder.iterdir():
            inside = root / "source/test_set" / path.name.removeprefix("own-")
            assert seen or inside.read_bytes() == path.read_bytes()
            inside.write_bytes(path.read_bytes())
        graded = grade_here(root, {"model.pth": content})
        seen.append(graded.results)
        assert "of 300 images" in graded.results["output"]
        assert graded.results["tests"][1]["name"] == "Accuracy of at least 20.5 %"
        assert '"misclassified": []' in graded.printed
        assert graded.results["score"] == int(graded.results["score"]) > 0
        assert graded.results == seen[0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--threshold", "ninety"), "--threshold is 'ninety'"),
        (("--test-set", "nowhere"), "--test-set nowhere: no such file"),
        (("--models", "nowhere.py"), "--models nowhere.py: no such file"),
        (("--timeout", "600"), "leaves no time"),
        (("--time-limit", "3000"), "above 0, at most 2400"),
        (("--preprocessing", "odd"), "--preprocessing is 'odd'"),
        (("--memory", "-1"), "--memory is -1"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_zip(tmp_path, flags, words):
    path, completed = build(tmp_path, *flags)
    assert completed.returncode == 2
    assert words in completed.stderr
    assert len(completed.stderr.splitlines()) == 1
    assert not path.exists()


def test_models_of_the_assignment_are_in_the_zip(public):
    weights = {"only.weight": torch.zeros(10, 784), "only.bias": torch.eye(10)[3]}
    graded = grade_here(public, {"model.pth": saved(weights)})
    assert "Net" in graded.results["tests"][0]["output"]
    assert graded.results["score"] == 10.1  # the share of threes


def test_zip_has_what_gradescope_asks_for_and_all_that_grading_imports(public):
    """Both scripts at the top, executable; and no package beyond what is installed."""
    for name in ("setup.sh", "run_autograder"):
        assert os.access(public / "source" / name, os.X_OK)
    needed = (REPO / "platforms/requirements.txt").read_text()
    program = (
        "import sys, platforms.gradescope.grade, grading.sandbox.server\n"
        "import evaluations.validation  # of rows that an earlier grading left\n"
        "from grading.readers import reader\nfrom common.data.catalog import Sizes\n"
        "reader.warm_up(Sizes(28, 10), None)\n"
        "print(*{n for n, m in sys.modules.items() if '.' not in n and "
        "'site-packages' in str(getattr(m, '__file__', ''))})\n"
    )
    command = [public / "source/.venv/bin/python", "-c", program]
    loaded = subprocess.run(
        command, cwd=public / "source", capture_output=True, text=True, check=True
    ).stdout.split()
    direct = set(re.findall("^[a-z0-9]+", needed, re.MULTILINE))
    assert direct <= {*loaded}
    left_out = {
        "torchvision",
        "scipy",
        "sklearn",
        "matplotlib",
        "jinja2",
        "seaborn",
        "pandas",
        "PIL",
    }
    assert not left_out & {*loaded}
    script = (public / "source/setup.sh").read_text()
    locks = re.findall(r"-r (\S+)", script)
    assert len(locks) == 3 and all((public / "source" / lock).is_file() for lock in locks)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
