"""What lies in runs/ can be told to hang together, and a run to be reproduced."""

import shutil

import pytest

from bench.checks.reproduce import compare, of_same_arithmetic
from tests.conftest import REPO, read
from tests.processes import run_forked


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.folder / "runs", tmp_path / "runs")
    (tmp_path / "data").symlink_to(finished.folder / "data")
    return tmp_path


def verify(folder):
    completed = run_forked(REPO / "bench/checks/verify.py", [], folder)
    assert completed.stderr == ""
    wrong = [line for line in completed.stdout.splitlines() if line.startswith("WRONG")]
    return completed.returncode, "\n".join(wrong)


def test_what_the_scripts_left_hangs_together(copied):
    assert verify(copied) == (0, "")


def test_whatever_was_exchanged_is_named(copied):
    """Runs of the same shape change places, and the better model, in one go."""
    runs = copied / "runs"
    (runs / "base/checkpoint.pth").write_bytes((runs / "improved/checkpoint.pth").read_bytes())
    path = runs / "improved/metrics.json"
    path.write_text(path.read_text().replace('"improved"', '"improvised"'))
    (runs / "mnist_classifier_best.pth").unlink()
    status, wrong = verify(copied)
    assert status == 1
    assert "runs/base/checkpoint.pth is the file that was measured" in wrong
    assert "runs/base measured anew" in wrong
    assert "runs/improved/metrics.json is the file that was measured" in wrong
    assert "runs/mnist_classifier_best.pth has the weights and the accuracy" in wrong
    assert "runs/report.html was rendered from runs/improved/metrics.json" in wrong
    assert "runs/report.html was rendered from runs/evaluation.json" not in wrong


RUN = {"weights_sha256": "a", "test_accuracy": 98.4, "test_accuracy_ci95": [98.1, 98.6]}
HERE = {"torch": "2.14", "threads": 2}


@pytest.mark.parametrize(
    ("changes", "conditions", "holds", "words"),
    [
        ({}, HERE, True, "Compared to the bit"),
        ({"weights_sha256": "b"}, HERE, False, "Compared to the bit"),
        ({"weights_sha256": "b"}, {**HERE, "threads": 1}, True, "threads 1 (recorded: 2)"),
        ({"test_accuracy": 98.2}, {**HERE, "torch": "3"}, True, "by interval"),
        ({"test_accuracy": 98.0}, {**HERE, "torch": "3"}, False, "by interval"),
    ],
)
def test_reproduction_is_to_the_bit_where_it_can_be(changes, conditions, holds, words):
    record = {"conditions": HERE, "runs": {"base": RUN}}
    lines, found = compare(record, {"conditions": conditions, "runs": {"base": {**RUN, **changes}}})
    assert found is holds
    assert words in lines[-1]
    assert ("NOT REPRODUCED" in lines[0]) is not holds


def test_record_of_the_same_arithmetic_is_the_one_to_compare_with():
    records = [{"conditions": {"arithmetic": name}} for name in ("AVX512", "AVX2")]
    for name, expected in (("AVX2", 1), ("AVX512", 0), ("NEON", 0)):
        found = {"conditions": {"arithmetic": name}}
        assert of_same_arithmetic(records, found) is records[expected]


def test_environment_tells_what_a_reproduction_needs(finished):
    environment = read(finished.folder / "runs/base/metrics.json")["environment"]
    assert len(environment["git_commit"]) == 40
    assert environment["git_clean"] in (True, False)
    assert "torch with" in environment["arithmetic"]
    assert environment["threads"] >= 1
    assert environment["deterministic_algorithms"] is False
