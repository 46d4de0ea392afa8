"""The four scripts where what only POSIX systems have is missing, as on Windows."""

import shutil
from collections import Counter

import numpy as np
import pytest

from grading.sandbox.machine import is_linux
from tests.conftest import REPO, read, run
from tests.grading.corpus import honest, keras_models, onnx_models, saved
from tests.grading.folders import NOTEBOOK, canvas, moodle, write, zipped
from tests.processes import run_forked

# Libraries come first: they know other systems by their names, not by what is missing.
LACKING = """
import builtins, os, runpy, signal, sys
import filelock, shutil, subprocess, tempfile, torch, torchvision
if sys.argv[1] == "-m":
    import h5py, onnxruntime, safetensors.torch
else:
    import jinja2, matplotlib, webbrowser
    import sklearn.metrics, torch._dynamo

filelock.FileLock = filelock.SoftFileLock  # on Windows it takes the lock of that system

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "crypt")
for name in MODULES:
    sys.modules.pop(name, None)

class Block:
    def find_spec(name, path, target=None):
        if name in MODULES:
            raise ImportError(f"no module named {name} here")

sys.meta_path.insert(0, Block)
for name in ("fork", "forkpty", "memfd_create", "pidfd_open", "geteuid", "getuid", "setsid",
             "setresuid", "setgroups", "killpg", "getpgid", "wait3", "wait4", "mkfifo", "pread",
             "sched_getaffinity", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGPIPE", "SIGKILL", "SIGHUP", "SIGALRM", "SIGXCPU", "pthread_sigmask"):
    if hasattr(signal, name):
        delattr(signal, name)

os_open = os.open
def open_no_folder(path, flags, *more, **options):
    if not isinstance(path, int) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return os_open(path, flags, *more, **options)
os.open = open_no_folder
shutil._use_fd_functions = False

class Process(subprocess.Popen):  # what it starts lacks the same
    def __init__(self, command, **options):
        super().__init__([command[0], __file__, *command[1:]], **options)
    def kill(self):
        self.send_signal(9)
subprocess.Popen = Process

if sys.argv[1] == "-m":
    module, sys.argv = sys.argv[2], sys.argv[2:]
    sys.path.insert(0, os.getcwd())
    runpy.run_module(module, run_name="__main__", alter_sys=True)
else:
    script, sys.argv = sys.argv[1], sys.argv[1:]
    sys.path.insert(0, os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("portable")
    shutil.copytree(data_dir / "MNIST", folder / "data/MNIST")  # not every system has links
    return folder


def run_lacking(script, *arguments, cwd):
    (cwd / "lacking.py").write_text(LACKING, encoding="utf-8")
    return run_forked(cwd / "lacking.py", [REPO / script, *arguments], cwd)


def require_end(script, *flags, cwd):
    completed = run_lacking(script, *flags, cwd=cwd)
    assert completed.returncode == 0, f"{script}: {completed.stderr}"
    assert "Traceback" not in completed.stderr


def test_all_four_scripts_come_to_their_end(place, few_digits, finished):
    """What is evaluated was trained on MNIST elsewhere: that takes longer than on few digits."""
    for recipe in ("base", "improved"):
        require_end(f"train_{recipe}.py", *few_digits, "--epochs", "2", cwd=place)
        assert (place / f"runs/idx/{recipe}/checkpoint.pth").exists()
        shutil.copytree(finished.folder / "runs" / recipe, place / "runs" / recipe)
    require_end("evaluate.py", "--threshold", "80", "--playground", cwd=place)
    for flags in ([], ["--playground"], ["--claims"]):
        require_end("report.py", *flags, cwd=place)
    rows = read(place / "runs/evaluation.json")["results"]
    assert [row["status"] for row in rows] == ["pass"] * 2
    for name in ("report", "playground", "claims"):
        assert (place / f"runs/{name}.html").stat().st_size > 50_000


def test_insisting_on_what_needs_linux_is_a_line_before_anything_is_read(place):
    (place / "submissions").mkdir()
    flags = ("--isolation", "process", "--data-dir", "nowhere")
    completed = run_lacking("evaluate.py", "submissions", *flags, cwd=place)
    assert completed.returncode == 2
    assert completed.stderr.count("\n") == 1
    assert "--isolation process needs Linux" in completed.stderr
    assert "WSL" in completed.stderr


@pytest.fixture(scope="module")
def handed_in(place, test_images, good_checkpoint):
    """Files of all kinds, a class's zip and a class's folder; returns what is to be graded."""
    weights, targets = good_checkpoint["model_state_dict"], test_images.targets
    made, folder = place / "made", place / "files"
    made.mkdir()
    folder.mkdir()
    honest.forms(made, good_checkpoint)
    honest.untrained(made)
    onnx_models.fill(made, weights, place / "data/MNIST/raw/t10k-labels-idx1-ubyte")
    keras_models.fill(made, weights, place / "data/MNIST/raw/t10k-labels-idx1-ubyte")
    for name in (
        *("design.pth", "bare.pth", "legacy.pth", "boaster.pth", "narrow.pth", "improved.pth"),
        *("plain.safetensors", "half.safetensors", "flat.onnx", "batch.onnx", "labels.onnx"),
        *("cut.onnx", "endless.onnx", "base.keras", "base.h5", "cut.h5", "labels.h5"),
    ):
        shutil.copy(made / name, folder)
    np.save(folder / "classes.npy", targets)
    np.savez(folder / "logits.npz", np.eye(10)[targets])
    numbered = [f"{number},{digit}" for number, digit in enumerate(targets, start=1)]
    good = saved(good_checkpoint)
    write(
        folder,
        {
            "perfect.csv": "\r\n".join(["ImageId,Label", *numbered]).encode(),
            "short.txt": b"1\r\n2\r\n",
            "some.json": str({"predictions": targets.tolist()}).replace("'", '"').encode(),
            "noise.pth": b"\x1a" + bytes(range(256)),
            "run.pkl": b"\x80\x04N.",
            "empty.pth": b"",
            "without-suffix": good,
            "packed.zip": zipped({"weights/model.pth": good, "weights/notes.ipynb": NOTEBOOK}),
            "two.zip": zipped({"a.pth": good, "b.pth": good}),
            "student/weights/model.pth": good,
            "student/notes.ipynb": NOTEBOOK,
        },
    )
    write(place / "class", moodle(good))
    packed = zipped(canvas(good, made.joinpath("narrow.pth").read_bytes()))
    write(place, {"class.zip": packed})
    return ["files", "class", "class.zip"]


@pytest.mark.long
def test_submissions_get_the_rows_that_they_get_on_linux(place, handed_in):
    flags = ("--threshold", "80", "--exit-zero", "--timeout", "5")
    lacking = run_lacking(
        *("evaluate.py", *handed_in, *flags, "--jobs", "2", "--output", "none/evaluation.json"),
        cwd=place,
    )
    assert lacking.returncode == 0, lacking.stderr
    assert lacking.stderr.count("\n") == 1, lacking.stderr
    assert lacking.stderr.startswith("Isolation none: no wall")
    none = read(place / "none/evaluation.json")
    assert none["isolation"] == "none"
    assert len(none["results"]) > 30
    statuses = Counter(row["status"] for row in none["results"])
    assert statuses["pass"] > 15 and statuses["fail"] and statuses["error"] > 5
    if not is_linux():
        return
    process = ("--isolation", "process", "--output", "process/evaluation.json")
    run("evaluate.py", *handed_in, *flags, *process, cwd=place)
    linux = read(place / "process/evaluation.json")
    for ours, theirs in zip(none["results"], linux["results"], strict=True):
        assert (ours.pop("isolation", "none"), ours["name"]) == ("none", theirs["name"])
        theirs.pop("isolation", None)
        if ours["name"] == "endless.onnx":  # there is no limit of processor time, the clock counts
            assert "took longer than the 5 s allowed" in ours["reason"]
            continue
        assert ours == theirs
