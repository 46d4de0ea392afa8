"""A data set of one's own, as a pair of IDX files: the four scripts on it, and what is refused."""

import gzip
import re
import textwrap

import numpy as np
import pytest
from PIL import Image

from common.data.arrays import load_split
from common.data.catalog import IDX_SPEC, Sizes
from common.data.idx import decode_idx, encode_idx
from common.data.search import find_files
from common.data.splits import load_training_data
from common.support.errors import UserError
from tests.conftest import REPO, read, run
from tests.data.made_up import write_set

IDX_ARGUMENTS = ("--dataset", "idx", "--data-dir", "shapes")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The four scripts on a data set of one's own: 30 classes, 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("shapes")
    write_set(IDX_SPEC, folder / "shapes", Sizes(side=16, num_classes=30))
    for script in ("train_base.py", "train_improved.py"):
        arguments = ("--val-size", "60", "--epochs", "3", "--batch-size", "32")
        completed = run(script, *IDX_ARGUMENTS, *arguments, cwd=folder)
        assert completed.returncode == 0, completed.stderr
    evaluation = run("evaluate.py", *IDX_ARGUMENTS, "--threshold", "50", cwd=folder)
    assert evaluation.returncode == 0, evaluation.stderr
    return folder


def test_networks_size_themselves_by_the_data(shapes):
    for name in ("base", "improved"):
        recipe = read(shapes / f"runs/idx/{name}/metrics.json")["recipe"]["model"]
        assert (recipe["input_size"], recipe["num_classes"]) == (256, 30)
    evaluation = read(shapes / "runs/idx/evaluation.json")
    assert evaluation["dataset"]["title"] == "shapes"
    assert np.shape(evaluation["results"][0]["confusion_matrix"]) == (30, 30)


def test_report_of_many_classes_has_no_confusion_matrix(shapes):
    completed = run("report.py", "runs/idx/evaluation.json", cwd=shapes)
    assert completed.returncode == 0, completed.stderr
    page = (shapes / "runs/idx/report.html").read_text(encoding="utf-8")
    assert "shapes classifier report" in page
    assert "20 of 30 classes are shown" in page
    assert "Confusion matrices" not in page
    assert read(shapes / "runs/idx/evaluation.json")["robustness"]["size"] == 200
    assert "Beyond the test set" in page


def test_submissions_are_graded_on_data_of_ones_own(shapes):
    folder = shapes / "submissions"
    folder.mkdir()
    checkpoint = shapes / "runs/idx/base/checkpoint.pth"
    (folder / "good.pth").write_bytes(checkpoint.read_bytes())
    labels = load_split(IDX_SPEC, shapes / "shapes", "test").targets.tolist()
    lines = [f"{number},{label}" for number, label in enumerate(labels, start=1)]
    (folder / "perfect.csv").write_text("\n".join(["ImageId,Label", *lines]))
    (folder / "too-high.csv").write_text("\n".join(["ImageId,Label", *lines[:-1], "200,30"]))
    completed = run("evaluate.py", "submissions", *IDX_ARGUMENTS, "--threshold", "50", cwd=shapes)
    assert completed.returncode == 1, completed.stderr
    rows = {r["name"]: r for r in read(shapes / "runs/idx/grading/evaluation.json")["results"]}
    own = read(shapes / "runs/idx/evaluation.json")["results"][0]
    assert rows["good.pth"]["confusion_matrix"] == own["confusion_matrix"]
    assert rows["perfect.csv"]["correct"] == 200
    assert not rows["perfect.csv"]["suspicious"]
    reason = rows["too-high.csv"]["reason"]
    assert reason.startswith("line 201: label '30' is not 0 to 29. Correct that")


def test_data_of_ones_own_need_a_threshold(shapes):
    completed = run("evaluate.py", *IDX_ARGUMENTS, cwd=shapes)
    assert completed.returncode == 2
    assert completed.stderr.splitlines() == [
        "evaluate.py: error: --dataset idx has no threshold of its own: give --threshold"
    ]


def rewrite(folder, part, kind, change):
    path = folder / IDX_SPEC.files[part][kind]
    path.write_bytes(encode_idx(np.ascontiguousarray(change(decode_idx(path.read_bytes())))))


@pytest.mark.parametrize(
    ("part", "kind", "change", "complaint"),
    [
        ("train", 0, lambda images: images[:, :, 1:], r"shape \[600, 28, 27\] of uint8"),
        ("train", 0, lambda images: images[:, 0], r"shape \[600, 28\] of uint8"),
        ("train", 0, lambda images: images * 0, "all pixels of the training images are equal"),
        ("train", 0, lambda images: images[:0], r"shape \[0, 28, 28\]"),
        ("train", 0, lambda images: images.astype(">i4"), "of int32, expected"),
        ("train", 1, lambda labels: labels[:-1], r"must hold 600 labels from 0 to 255"),
        ("train", 1, lambda labels: labels * 0, "every training image has the label 0"),
        ("test", 0, lambda images: images[:, 1:, 1:], "27 x 27 pixels and labels up to 9"),
        ("test", 1, lambda labels: labels + 1, "labels up to 10, expected 28"),
    ],
)
def test_data_that_cannot_be_used_are_refused(tmp_path, part, kind, change, complaint):
    write_set(IDX_SPEC, tmp_path / "set")
    rewrite(tmp_path / "set", part, kind, change)
    with pytest.raises(UserError, match=complaint):
        load_split(IDX_SPEC, tmp_path / "set", "test")


def test_labels_of_256_classes_are_the_most_there_can_be(tmp_path):
    write_set(IDX_SPEC, tmp_path / "set", Sizes(side=4, num_classes=256))
    assert load_split(IDX_SPEC, tmp_path / "set", "train").dataset.sizes == Sizes(
        side=4, num_classes=256
    )


def test_missing_and_damaged_files_are_one_line(tmp_path):
    completed = run("train_base.py", *IDX_ARGUMENTS, cwd=tmp_path)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert line == (
        "train_base.py: error: shapes has no training images: put there train/CLASS/*.png, an .npz "
        "file with x_train and y_train, a train.csv with the label first, or "
        "train-images-idx3-ubyte and train-labels-idx1-ubyte; docs/datasets.md has the lines that "
        "make the last of anything else"
    )
    write_set(IDX_SPEC, tmp_path / "shapes")
    (tmp_path / "shapes/train-labels-idx1-ubyte").write_bytes(b"<html>")
    with pytest.raises(UserError, match="not an IDX file of unsigned bytes or 32-bit integers; w"):
        load_training_data(IDX_SPEC, tmp_path / "shapes", 0, 42)


def test_compressed_files_are_read_as_they_are(tmp_path):
    images, _ = write_set(IDX_SPEC, tmp_path / "set")
    path = find_files(IDX_SPEC, tmp_path / "set")["t10k-images-idx3-ubyte"].path
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert np.array_equal(load_split(IDX_SPEC, tmp_path / "set", "test").images, images)
    path.with_name(f"{path.name}.gz").write_bytes(b"\x1f\x8b\x08 cut")
    with pytest.raises(UserError, match=r"ubyte\.gz is damaged: write it anew, as IDX"):
        load_split(IDX_SPEC, tmp_path / "set", "test")


def test_single_image_of_a_class_cannot_be_in_both_parts(tmp_path):
    write_set(IDX_SPEC, tmp_path / "set")
    rewrite(tmp_path / "set", "train", 1, lambda labels: np.where(labels == 9, 0, labels))
    rewrite(tmp_path / "set", "train", 1, lambda labels: np.r_[labels[:-1], np.uint8(9)])
    with pytest.raises(UserError, match="class 9 has a single image"):
        load_training_data(IDX_SPEC, tmp_path / "set", 100, 42)
    assert len(load_training_data(IDX_SPEC, tmp_path / "set", 0, 42).train) == 600


def test_lines_of_the_docs_make_the_four_files(tmp_path, test_images, monkeypatch):
    """Of pictures, of an .npz file and of a table come the same files."""
    images, targets = test_images.images[:40], test_images.targets[:40]
    order = np.argsort(targets, kind="stable")
    images, targets = images[order], targets[order]
    for number, (image, target) in enumerate(zip(images, targets, strict=True)):
        (tmp_path / f"train/{target}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"train/{target}/{number:02}.png")
    np.savez(tmp_path / "data.npz", x_train=images, y_train=targets)
    table = np.column_stack([targets, images.reshape(40, -1)])
    np.savetxt(tmp_path / "train.csv", table, fmt="%d", delimiter=",", header="label,pixels")
    page = (REPO / "docs/datasets.md").read_text(encoding="utf-8")
    start = page.index("    import numpy as np\n")
    blocks = re.findall(r"(?:^    .*\n)+", page[start:], flags=re.MULTILINE)[:4]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DIR").mkdir()
    names = {}
    exec(textwrap.dedent(blocks[0]), names)
    for block in blocks[1:]:
        exec(textwrap.dedent(block), names)
        for name, array in (("images-idx3", images), ("labels-idx1", targets)):
            path = tmp_path / f"DIR/train-{name}-ubyte"
            assert np.array_equal(decode_idx(path.read_bytes()), array), block
            path.unlink()
