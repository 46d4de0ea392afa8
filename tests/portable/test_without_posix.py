"""The four scripts where what only POSIX systems have is missing, as on Windows."""

import shutil

import pytest

from tests.conftest import REPO, SMALL, read
from tests.processes import run_forked

# Libraries come first: they know other systems by their names, not by what is missing.
LACKING = """
import builtins, os, runpy, signal, sys
import filelock, jinja2, matplotlib, subprocess, tempfile, webbrowser
import sklearn.metrics, torch, torch._dynamo, torchvision

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


def test_all_four_scripts_come_to_their_end(place):
    for script, *flags in (
        ("train_base.py", *SMALL),
        ("train_improved.py", *SMALL),
        ("evaluate.py", "--threshold", "80", "--playground"),
        ("report.py",),
        ("report.py", "--playground"),
        ("report.py", "--claims"),
    ):
        completed = run_lacking(script, *flags, cwd=place)
        assert completed.returncode == 0, f"{script}: {completed.stderr}"
        assert "Traceback" not in completed.stderr
    assert [row["status"] for row in read(place / "runs/evaluation.json")["results"]] == [
        "pass"
    ] * 2
    for name in ("report", "playground", "claims"):
        assert (place / f"runs/{name}.html").stat().st_size > 50_000


def test_grading_says_in_a_line_that_it_needs_linux_before_it_reads_anything(place):
    (place / "submissions").mkdir()
    completed = run_lacking("evaluate.py", "submissions", "--data-dir", "nowhere", cwd=place)
    assert completed.returncode == 2
    assert completed.stderr.count("\n") == 1
    assert "grading needs Linux" in completed.stderr
    assert "WSL" in completed.stderr
