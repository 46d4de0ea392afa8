"""A training script never reads the test set, and a report needs neither torch nor the data.

A report is the same bytes for the same files, too: one page in a process of its own shows both.
"""

import shutil
import subprocess
import sys

from tests.conftest import ONE_EPOCH, REPO
from tests.processes import run_forked

# Runs a script, and ends it at once if it opens a file whose name has "t10k" in it.
WATCHED = """
import os, runpy, sys
script = sys.argv[1]
def watch(event, args):
    if event in ("open", "os.open") and "t10k" in str(args[0]):
        os.write(2, b"opened " + os.fsencode(str(args[0])))
        os._exit(99)
sys.addaudithook(watch)
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(script))
runpy.run_path(script, run_name="__main__")
"""

# Runs a script in which the named modules cannot be imported.
BLOCKED = """
import os, runpy, sys
script = sys.argv[1]
class Block:
    def find_spec(name, path, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block)
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(script))
runpy.run_path(script, run_name="__main__")
"""


def watched(script, *args, cwd, place):
    watch = place / "watch.py"
    watch.write_text(WATCHED)
    return run_forked(watch, [REPO / script, *args], cwd)


def test_training_never_opens_a_test_file_and_needs_none(tmp_path, data_dir, few_digits):
    raw = tmp_path / "data/MNIST/raw"
    raw.mkdir(parents=True)
    for path in data_dir.glob("MNIST/raw/train-*"):
        (raw / path.name).symlink_to(path)
    for script, *flags in (("train_base.py", *ONE_EPOCH), ("train_improved.py", *few_digits)):
        completed = watched(script, *flags, "--epochs", "1", cwd=tmp_path, place=tmp_path)
        assert completed.returncode == 0, completed.stderr
    assert len(list(raw.iterdir())) == 2, "and fetches none"


def test_the_watch_above_can_fail(finished, tmp_path):
    completed = watched("evaluate.py", cwd=finished.folder, place=tmp_path)
    assert completed.returncode == 99
    assert "opened data/MNIST/raw/t10k-" in completed.stderr


def test_report_needs_neither_torch_nor_data_and_same_files_give_the_same_bytes(finished, tmp_path):
    shutil.copytree(finished.folder / "runs", tmp_path / "runs")
    (tmp_path / "runs/report.html").unlink()
    surroundings = {"TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "12345"}
    completed = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(REPO / "report.py")],
        cwd=tmp_path,
        env={**surroundings, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr
    written = (tmp_path / "runs/report.html").read_bytes()
    assert written == (finished.folder / "runs/report.html").read_bytes()


def test_the_block_above_can_fail(finished):
    command = [sys.executable, "-c", BLOCKED, str(REPO / "evaluate.py")]
    completed = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True)
    assert completed.returncode != 0
    assert "torch is blocked" in completed.stderr
