"""What make trains again: what changes a weight, and nothing else."""

import shutil
import subprocess
import sys

import pytest

from bench.checks import training_code
from tests.conftest import REPO

SCRIPTS = ("train_base.py", "train_improved.py")
NETWORK = """

@register
class Mine(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :10]
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the code, and its checksums."""
    folder = tmp_path_factory.mktemp("code")
    for name in ("common", "evaluations", "own_runs", "grading", "reporting", "bench", "templates"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPO.glob("*.py"):
        shutil.copy(path, folder)
    shutil.copy(REPO / "Makefile", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_code, "REPOSITORY", folder)
        yield folder, checksums()


@pytest.fixture
def change(copied):
    """A function that changes a file of the copy until the test ends."""
    folder, changed = copied[0], {}

    def change(name, old, new):
        path = folder / name
        text = path.read_text(encoding="utf-8")
        changed.setdefault(path, text)
        assert old in text, f"{name} no longer has {old!r}: change another place"
        path.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")

    yield change
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")


def checksums():
    training_code.read_module.cache_clear()
    return [training_code.checksum(script.removesuffix(".py")) for script in SCRIPTS]


WITHOUT_EFFECT = (
    ("common/models.py", "", NETWORK),
    ("common/models.py", "Return logits [N, num_classes]", "Return the logits"),
    ("common/metrics.py", "", "\n\ndef another(correct, total):\n    return correct / total\n"),
    ("common/metrics.py", "100 * correct", "100.0 * correct"),
    ("common/loops.py", "Return ", "Give "),
    ("common/runs.py", "training diverged, try a lower --lr", "it diverged: try a lower --lr"),
    ("evaluations/rows.py", "", "\nlen('')\n"),
    ("own_runs/measure.py", "", "\nlen('')\n"),
    ("common/data/photos.py", "_SPECK = 14", "_SPECK = 15"),
    ("reporting/pages.py", "", "\nlen('')\n"),
    ("grading/grade.py", "", "\nlen('')\n"),
    ("templates/layout.html", "<body", "<body "),
    ("train_base.py", 'help="images per step"', 'help="images in a step"'),
    ("train_base.py", "# Large steps first", "# At first large steps"),
)


def test_what_no_weight_depends_on_trains_nothing_again(copied, change):
    for name, old, new in WITHOUT_EFFECT:
        change(name, old, new)
    assert checksums() == copied[1]


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("train_base.py", "gamma=0.7", "gamma=0.8", [True, False]),
        ("train_base.py", "default=20", "default=21", [True, False]),
        ("train_improved.py", "label_smoothing=0.1", "label_smoothing=0.2", [False, True]),
        ("common/loops.py", "optimizer.step()", "optimizer.step() or None", [True, True]),
        ("common/models.py", "F.relu(x)", "F.gelu(x)", [True, True]),
        ("common/models.py", "xavier_uniform_", "xavier_normal_", [True, True]),
        ("common/layers.py", "gradient.sum(dim=0)", "gradient.mean(dim=0)", [True, True]),
        (
            "common/layers.py",
            "import torch\n",
            "import torch\ntorch.set_num_threads(3)\n",
            [True, True],
        ),
        (
            "common/loops.py",
            "import torch\n",
            "import torch\ntorch.backends.mkldnn.enabled = False\n",
            [True, True],
        ),
        (
            "common/data/idx.py",
            "import numpy as np\n",
            "import numpy as np\nlen('')\n",
            [True, True],
        ),
        ("common/models.py", "batch_norm = True", "batch_norm = 1", [False, True]),
        (
            "common/transforms.py",
            "def normalize(",
            "@torch.no_grad()\ndef normalize(",
            [True, True],
        ),
        ("common/support/environment.py", "torch.manual_seed(seed)", "pass", [True, True]),
    ],
)
def test_what_changes_weights_trains_again(copied, change, name, old, new, changed):
    change(name, old, new)
    assert [a != b for a, b in zip(copied[1], checksums(), strict=True)] == changed


def test_make_trains_what_has_no_stamp_of_todays_code(copied, change):
    code, sums = copied
    for name in ("base", "improved"):
        (code / "runs" / name).mkdir(parents=True)
    (code / ".venv").mkdir()
    for name in (".venv/.installed", "requirements.lock", "requirements.txt"):
        (code / name).touch()
    (code / "data/MNIST/raw").mkdir(parents=True)
    (code / "data/MNIST/raw/t10k-labels-idx1-ubyte").touch()

    def trained_by_make():
        command = ["make", "-n", "report", f"PYTHON={sys.executable}"]
        done = subprocess.run(command, cwd=code, check=True, capture_output=True, text=True)
        assert "evaluate.py --playground" in done.stdout
        return [script for script in SCRIPTS if script in done.stdout]

    assert trained_by_make() == list(SCRIPTS)
    for script, checksum in zip(SCRIPTS, sums, strict=True):
        name = script.removeprefix("train_").removesuffix(".py")
        (code / "runs" / name / f".trained-{checksum}").touch()
    assert trained_by_make() == []
    change("train_base.py", "gamma=0.7", "gamma=0.8")
    assert trained_by_make() == ["train_base.py"]
