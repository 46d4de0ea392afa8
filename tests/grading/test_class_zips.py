"""A class's zip file, as a course platform gives it, named on the command line."""

import io
import re
import tempfile
import warnings
import zipfile

import pytest

from common.models import MNISTClassifier
from grading.intake import class_zip
from tests.conftest import NEEDS_BUBBLEWRAP, read, run
from tests.grading.corpus import saved
from tests.grading.folders import METADATA, canvas, encrypted, moodle, students, write, zipped

pytestmark = pytest.mark.usefixtures("on_few_images")

IN_BUBBLEWRAP = [
    pytest.mark.long,
    NEEDS_BUBBLEWRAP,
]


@pytest.fixture
def good(good_checkpoint):
    return saved(good_checkpoint)


@pytest.fixture(scope="session")
def bad():
    return saved(MNISTClassifier(hidden_sizes=(8,)).state_dict())


def grade(folder, path, *flags, isolation="process"):
    output = folder / f"o-{path}" / "evaluation.json"
    flags += ("--isolation", isolation, "--output", output, "--threshold", "80", "--exit-zero")
    completed = run("evaluate.py", path, *flags, cwd=folder)
    assert completed.returncode == 0, completed.stderr
    return read(output)["results"]


def names_and_grades(rows):
    return {row["name"]: (row["status"], row.get("correct")) for row in rows}


@pytest.mark.parametrize(
    ("isolation", "outer"),
    [
        ("process", "hw1 submissions/"),
        pytest.param("process", "", marks=pytest.mark.long),
        pytest.param("bubblewrap", "hw1 submissions/", marks=IN_BUBBLEWRAP),
    ],
)
def test_zip_of_canvas_is_graded_as_its_folder(workspace, good, bad, isolation, outer):
    files = canvas(good, bad)
    write(workspace / "class", files)
    packed = zipped({f"{outer}{name}": content for name, content in files.items()})
    write(workspace, {"class.zip": packed})
    rows = grade(workspace, "class.zip", isolation=isolation)
    of_folder = grade(workspace, "class", isolation=isolation)
    assert names_and_grades(rows) == names_and_grades(of_folder)
    (bob,) = (row for row in rows if row["name"] == "bobbuilder_102")
    assert bob["status"] == "error"
    assert "model-2.pth" in bob["reason"]
    assert {row["isolation"] for row in rows} == {isolation}


def test_grades_of_a_zip_reach_the_gradebook_as_those_of_its_folder(workspace, good):
    """The number in the name decides, also for several files and a name that the roster lacks."""
    names = ("team1_101_9001_model.pth", "team1_101_9002_report.pdf", "team2_102_9003_model.pth")
    files = {name: good if name.endswith(".pth") else b"%PDF" for name in names}
    write(workspace / "class", files)
    write(workspace, {"class.zip": zipped(files)})
    (workspace / "roster.csv").write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,MNIST (4567)\n"
        '"Lee, Ann",101,S1,ann,A,\n"Müller, Bob",102,S2,bob,A,\n',
        encoding="utf-8",
    )
    for path in ("class", "class.zip"):
        grade(workspace, path, "--format", "canvas", "--roster", "roster.csv")
    written = [workspace / f"o-{path}" / "canvas.csv" for path in ("class", "class.zip")]
    assert written[0].read_text() == written[1].read_text()
    assert written[0].read_text().count("%") == 2


def test_zips_of_moodle_and_gradescope(workspace, good, bad):
    typed = {"Cy D_3_assignsubmission_file_/checkpoint.pth": good}
    typed |= {"Cy D_3_assignsubmission_file_/training_state.pth": bad}
    typed |= {"Cy D_3_assignsubmission_file_/metrics.json": b"{}"}
    write(workspace, {"moodle.zip": zipped({**moodle(good), **typed})})
    rows = grade(workspace, "moodle.zip")
    assert [row["status"] for row in rows] == ["pass"] * 3

    folders = {"submission_11": students(good, bad)["cid"], "submission_12": {"m.pth": bad}}
    files = {f"x/{f}/{name}": c for f, inner in folders.items() for name, c in inner.items()}
    files["x/submission_metadata.yml"] = METADATA.encode()
    write(workspace, {"gradescope.zip": zipped(files)})
    ada, bob = grade(workspace, "gradescope.zip")
    assert (ada["status"], bob["status"]) == ("pass", "fail")
    assert "Ada Lovelace" in ada["student"]


@pytest.mark.parametrize("isolation", ["process", pytest.param("bubblewrap", marks=IN_BUBBLEWRAP)])
def test_hostile_members_cost_their_own_student_alone(workspace, good, isolation):
    """No path of a member is one, and what is too large or damaged is an error of its own."""
    class_zip = zipped(
        {
            "ada_1_11_model.pth": good,
            "bob_2_12_model.pth": bytes(257 * 2**20),
            "../../cyd_3_13_model.pth": good,
            "/dee_4_14_evil.pth": good,
            "eve_5_15_work.zip": zipped({"hw/model.pth": good}),
            "fay_6_16_model.pth": b"a mark of the damage" * 50,
            "..": b"x",
        }
    )
    # The stored bytes of one member, changed, no longer fit its checksum.
    at = class_zip.index(b"fay_6_16_model.pth") + len("fay_6_16_model.pth")
    broken = class_zip[:at] + bytes(4) + class_zip[at + 4 :]
    before = sorted(workspace.parent.rglob("*"))
    write(workspace, {"class.zip": broken})
    rows = grade(workspace, "class.zip", isolation=isolation)
    statuses = {row["name"]: row["status"] for row in rows}
    assert statuses.pop("bob_2_12_model.pth") == "error"
    assert statuses.pop("fay_6_16_model.pth") == "error"
    assert statuses == {
        "ada_1_11_model.pth": "pass",
        "cyd_3_13_model.pth": "pass",
        "dee_4_14_evil.pth": "pass",
        "eve_5_15_work.zip": "pass",
    }
    assert "at most 256 MiB" in next(r["reason"] for r in rows if r["name"].startswith("bob"))
    mine = {workspace / "class.zip", *(workspace / "o-class.zip").rglob("*")}
    new = set(workspace.parent.rglob("*")) - set(before) - mine - {workspace / "o-class.zip"}
    assert not new


def test_encrypted_class_is_a_line(workspace, good):
    write(
        workspace,
        {"class.zip": encrypted(zipped({"ada_1_11_m.pth": good, "bob_2_12_m.pth": good}))},
    )
    completed = run("evaluate.py", "class.zip", cwd=workspace)
    assert completed.returncode == 2
    assert completed.stderr.count("\n") == 1
    assert "encrypted" in completed.stderr
    assert "unpack it" in completed.stderr


def test_zip_of_one_student_is_one_submission(workspace, good):
    write(workspace, {"hw1.zip": zipped({"hw1/model.pth": good, "hw1/report.pdf": b"%PDF"})})
    (row,) = grade(workspace, "hw1.zip")
    assert (row["name"], row["status"]) == ("hw1.zip", "pass")


def test_students_of_two_zips_keep_their_names(workspace, good):
    """Also where a zip is named through a link, and where a class has one student."""
    ada, bob = (f"{name}_assignsubmission_file" for name in ("Ada L_1", "Bob B_2"))
    members = {f"{who}/m.pth": good for who in (ada, bob)}
    write(workspace, {"one.zip": zipped(members), "two.zip": zipped(members)})
    write(workspace, {"alone.zip": zipped({f"{ada}/m.pth": good})})
    (workspace / "link.zip").symlink_to("two.zip")
    rows = grade(workspace, "one.zip", "link.zip")
    assert [row["status"] for row in rows] == ["pass"] * 4
    assert [row["name"] for row in rows] == [
        f"{path}/{who}" for path in ("one.zip", "link.zip") for who in (ada, bob)
    ]
    (row,) = grade(workspace, "alone.zip")
    assert row["name"] == ada


def test_outer_folder_is_none_beside_litter_and_the_last_of_two_members_counts(
    workspace, good, bad
):
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of two members with one name
        archive.writestr(".DS_Store", b"x")
        archive.writestr("__MACOSX/x/m.pth", b"x")
        archive.writestr("x/submission_metadata.yml", METADATA)
        for content in (bad, good):
            archive.writestr("x/submission_11/m.pth", content)
        archive.writestr("x/submission_12/m.pth", bad)
    write(workspace, {"gradescope.zip": buffer.getvalue()})
    rows = grade(workspace, "gradescope.zip")
    assert [row["status"] for row in rows] == ["pass", "fail"]


def test_full_disk_is_an_error_that_names_the_temporary_folder(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / str(number)).symlink_to("/dev/full")
    monkeypatch.setattr(class_zip.tempfile, "mkdtemp", lambda **options: str(tmp_path))
    files = {f"s{n}_{n}_{n}_predictions.csv": b"1" * 10_000 for n in range(3)}
    write(tmp_path, {"class.zip": zipped(files)})
    where = re.escape(tempfile.gettempdir())
    with pytest.raises(OSError, match=rf"No space left on device: '{where}'"):
        class_zip.unpack_class(tmp_path / "class.zip", tmp_path, "process")
