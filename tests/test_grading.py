"""evaluate.py on named paths: exact verdicts, and one row for each file whatever is in it."""

import json
import math
import os
import pickle
import shutil

import pytest
import torch
from conftest import read, run

from common.models import ImprovedMNISTClassifier, MNISTClassifier


def grade(folder, *args):
    """Grade and return the exit status and the rows by name."""
    completed = run("evaluate.py", *args, cwd=folder)
    rows = read(folder / "runs/grading/evaluation.json")["results"]
    assert len({row["name"] for row in rows}) == len(rows)
    return completed, {row["name"]: row for row in rows}


def checkpoint_of(model, **changes):
    return {
        "model_state_dict": model.state_dict(),
        "model_architecture": type(model).__name__,
        "model_args": model.model_args,
        "accuracy": 50.0,
        "epoch": 1,
        **changes,
    }


def test_threshold_is_exact_to_the_image(finished, workspace):
    path = finished.folder / "runs/base/checkpoint.pth"
    completed, rows = grade(workspace, path)
    accuracy = rows["checkpoint.pth"]["accuracy"]
    for threshold, status in ((accuracy, 0), (round(accuracy + 0.01, 2), 1)):
        completed, rows = grade(workspace, "--threshold", f"{threshold:.2f}", path)
        assert completed.returncode == status
        assert rows["checkpoint.pth"]["status"] == ["pass", "fail"][status]


def test_own_run_and_strangers_file_get_the_same_numbers(finished, workspace):
    _, rows = grade(workspace, "--threshold", "80", finished.folder / "runs")
    own = {r["name"]: r for r in read(finished.folder / "runs/evaluation.json")["results"]}
    for name in ("base", "improved"):
        for key in ("accuracy", "confusion_matrix", "loss", "sha256", "per_class"):
            assert rows[name][key] == own[name][key]
        assert rows[name]["kind"] == "run"
        assert not rows[name]["own"]
    assert not (workspace / "runs/mnist_classifier_best.pth").exists()
    assert not (workspace / "runs/evaluation.json").exists()


def test_checkpoint_with_the_four_keys_of_the_explanation_is_graded(workspace):
    checkpoint = checkpoint_of(ImprovedMNISTClassifier())
    del checkpoint["model_args"]
    torch.save(checkpoint, workspace / "seed.pth")
    completed, rows = grade(workspace, "seed.pth")
    assert completed.returncode == 1
    assert rows["seed.pth"]["status"] == "fail"
    assert rows["seed.pth"]["architecture"] == "ImprovedMNISTClassifier"


def test_claims_are_measured_and_marked(finished, good_checkpoint, workspace):
    measured = read(finished.folder / "runs/evaluation.json")["results"][0]["accuracy"]
    for name, claim in (("honest", measured), ("boaster", 99.99), ("silent", None)):
        torch.save({**good_checkpoint, "accuracy": claim}, workspace / f"{name}.pth")
    torch.save({**good_checkpoint, "accuracy": "100 %"}, workspace / "wordy.pth")
    names = [f"{name}.pth" for name in ("honest", "boaster", "silent", "wordy")]
    completed, rows = grade(workspace, "--threshold", "80", *names)
    assert [rows[name]["claim_differs"] for name in names] == [False, True, False, False]
    assert {rows[name]["accuracy"] for name in names} == {measured}
    assert "! claims 99.99 %" in completed.stdout


class Payload:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def broken_files(folder, good):
    """Make one file of each kind that cannot be graded; return its reason by name."""
    model = MNISTClassifier()
    weights = good["model_state_dict"]

    def save(name, content, reason):
        torch.save(content, folder / name)
        expected[name] = reason

    expected = {}
    save("module.pth", model, "loads safely")
    save("payload.pth", Payload(folder / "canary"), "loads safely")
    save("list.pth", [1, 2], "holds a list")
    save("empty_dict.pth", {}, "no model_state_dict")
    save("bare.pth", weights, "no model_state_dict")
    save("stranger.pth", checkpoint_of(model, model_architecture="ResNet"), "none of")
    save("unhashable.pth", checkpoint_of(model, model_architecture=["x"]), "none of")
    save("huge.pth", checkpoint_of(model, model_args={"hidden_sizes": [2**40]}), "hidden_sizes")
    save("wide.pth", checkpoint_of(model, model_args={"hidden_sizes": [2**23] * 3}), "has shape")
    save("args.pth", checkpoint_of(model, model_args={"x\n<script>": 1}), "no other keys")
    save("inputs.pth", checkpoint_of(model, model_args={"input_size": 10**9}), "input_size 784")
    save("rate.pth", checkpoint_of(model, model_args={"dropout_rate": math.nan}), "dropout_rate")
    missing = {k: v for k, v in weights.items() if k != "fc2.bias"}
    save(
        "missing.pth",
        {**good, "model_state_dict": missing},
        "1 missing names, the first of them fc2",
    )
    save(
        "extra.pth",
        {**good, "model_state_dict": {**weights, 7: weights["fc1.bias"]}},
        "1 unexpected",
    )
    save("float.pth", checkpoint_of(model, model_args={"input_size": 784.0}), "input_size 784")
    sizes = torch.tensor([784, 784])
    save("vector.pth", checkpoint_of(model, model_args={"input_size": sizes}), "input_size 784")
    save("infinite.pth", checkpoint_of(model, model_args={"dropout_rate": 10**400}), "dropout_rate")
    odd = weights["fc1.bias"].clone()
    odd.isfinite = "an attribute survives a safe load"
    for name, tensor, reason in (
        ("odd", odd, ""),
        ("meta", weights["fc1.bias"].to("meta"), "not a plain dense tensor"),
        ("nan", weights["fc1.bias"] * math.nan, "fc1.bias holds values that are NaN"),
        ("shape", weights["fc1.bias"][:-1], "fc1.bias has shape [511], expected [512]"),
        ("int", weights["fc1.bias"].to(torch.int8), "dtype torch.int8"),
        ("complex", weights["fc1.bias"].to(torch.complex64), "dtype torch.complex64"),
        ("sparse", weights["fc1.bias"].to_sparse(), "not a plain dense tensor"),
        ("number", 3, "not a plain dense tensor"),
    ):
        changed = {**weights, "fc1.bias": tensor}
        save(f"{name}.pth", {**good, "model_state_dict": changed}, reason)
    stride0 = torch.zeros(1).expand(10**11)
    save("stride.pth", {**good, "model_state_dict": {**weights, "fc1.bias": stride0}}, "has shape")
    whole = (folder / "nan.pth").read_bytes()
    for name, content in (
        ("empty.pth", b""),
        ("text.pth", b"accuracy: 99 %\n"),
        ("page.pth", b"<!doctype html><title>403</title>"),
        ("cut.pth", whole[: len(whole) // 2]),
        ("pickle.pth", pickle.dumps({"a": 1})),
    ):
        (folder / name).write_bytes(content)
        expected[name] = ""
    (folder / "notes.txt").write_text("hello")
    expected["notes.txt"] = "unknown kind of file"
    (folder / "folder").mkdir()
    expected["folder"] = "no checkpoint.pth"
    os.mkfifo(folder / "fifo.pth")
    expected["fifo.pth"] = "not a regular file"
    (folder / "dangling.pth").symlink_to(folder / "nowhere")
    expected["dangling.pth"] = "not a regular file"
    return expected


def test_broken_files_get_a_row_each_and_stop_nobody(good_checkpoint, workspace):
    folder = workspace / "submissions"
    folder.mkdir()
    expected = broken_files(folder, good_checkpoint)
    torch.save(good_checkpoint, folder / "zoe.pth")
    (folder / ".hidden.pth").write_bytes(b"left out")
    completed, rows = grade(workspace, "--threshold", "80", "submissions")
    assert completed.returncode == 1
    assert rows.keys() == expected.keys() | {"zoe.pth"}
    assert rows.pop("zoe.pth")["status"] == "pass"
    for name, row in rows.items():
        assert row["status"] == "error", name
        assert expected[name] in row["reason"], (name, row["reason"])
        assert "weights_only" not in row["reason"]
        assert len(row["reason"]) < 200
        assert row["reason"].isprintable()
    assert not (folder / "canary").exists()
    assert completed.stderr == ""


def test_claim_beyond_all_numbers_is_no_claim(good_checkpoint, workspace):
    torch.save({**good_checkpoint, "accuracy": 10**400, "epoch": "x"}, workspace / "a.pth")
    _, rows = grade(workspace, "--threshold", "80", "a.pth")
    assert rows["a.pth"]["status"] == "pass"
    assert rows["a.pth"]["claimed_accuracy"] is rows["a.pth"]["epoch"] is None


def test_checkpoint_pth_among_other_files_hides_none_of_them(good_checkpoint, workspace):
    (workspace / "submissions").mkdir()
    for name in ("ann.pth", "checkpoint.pth"):
        torch.save(good_checkpoint, workspace / "submissions" / name)
    _, rows = grade(workspace, "--threshold", "80", "submissions")
    assert rows.keys() == {"ann.pth", "checkpoint.pth"}


def test_path_given_twice_has_one_row(good_checkpoint, workspace):
    torch.save(good_checkpoint, workspace / "a.pth")
    _, rows = grade(workspace, "--threshold", "80", "a.pth", "a.pth")
    assert rows.keys() == {"a.pth"}


def test_half_and_double_precision_are_graded(good_checkpoint, workspace):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        weights = {k: v.to(dtype) for k, v in good_checkpoint["model_state_dict"].items()}
        torch.save({**good_checkpoint, "model_state_dict": weights}, workspace / f"{dtype}.pth")
    _, rows = grade(workspace, "--threshold", "80", *workspace.glob("*.pth"))
    assert len(rows) == 3
    assert {row["status"] for row in rows.values()} == {"pass"}


def test_files_of_one_name_in_two_folders_keep_their_rows_apart(good_checkpoint, workspace):
    for student in ("ann", "bob"):
        (workspace / student).mkdir()
        torch.save(good_checkpoint, workspace / student / "model.pth")
    _, rows = grade(workspace, "--threshold", "80", "ann/model.pth", "bob/model.pth")
    assert rows.keys() == {"ann/model.pth", "bob/model.pth"}


@pytest.mark.parametrize("name", ["a\nb\x1b[31m.pth", "\u202ex.pth", "\udcff.pth"])
def test_hostile_names_are_shown_escaped(good_checkpoint, workspace, name):
    folder = workspace / "submissions"
    folder.mkdir()
    torch.save(good_checkpoint, workspace / "plain.pth")
    (workspace / "plain.pth").rename(folder / name)
    completed = run("evaluate.py", "--threshold", "80", "submissions", cwd=workspace)
    assert completed.returncode == 0
    table = completed.stdout.split("---\n")[1].split("\n\n")[0]
    assert len(table.splitlines()) == 1
    assert table.isprintable()
    assert "\\" in table


def test_empty_folder_is_a_usage_error(workspace):
    (workspace / "submissions").mkdir()
    completed = run("evaluate.py", "submissions", cwd=workspace)
    assert completed.returncode == 2
    assert "nothing to grade" in completed.stderr


@pytest.mark.parametrize("change", [{"val_accuracy": "x"}, {"val_accuracy": 200.0}, None])
def test_own_run_with_broken_metrics_is_an_error_row(finished, workspace, change):
    shutil.copytree(finished.folder / "runs/base", workspace / "runs/base")
    path = workspace / "runs/base/metrics.json"
    document = read(path)
    if change:
        document["history"][-1] |= change
    else:
        document["history"] = []
    path.write_text(json.dumps(document), encoding="utf-8")
    assert run("evaluate.py", cwd=workspace).returncode == 1
    (row,) = read(workspace / "runs/evaluation.json")["results"]
    assert "metrics.json lacks its history or data" in row["reason"]


def test_own_run_without_its_checkpoint_is_an_error_row(finished, workspace):
    run_folder = workspace / "runs/base"
    run_folder.mkdir(parents=True)
    (run_folder / "metrics.json").write_bytes(
        (finished.folder / "runs/base/metrics.json").read_bytes()
    )
    completed = run("evaluate.py", cwd=workspace)
    assert completed.returncode == 1
    (row,) = read(workspace / "runs/evaluation.json")["results"]
    assert (row["status"], row["reason"]) == ("error", "the folder has no checkpoint.pth")
    assert run("report.py", cwd=workspace).returncode == 0
