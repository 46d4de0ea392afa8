"""Whose file is whose, by the form that each platform gives its names: as a folder and as a zip."""

import pytest

from grading.intake.attempts import files_under
from grading.intake.submissions import find_submissions
from tests.grading.folders import write, zipped

STAMP = "2026-11-0{}-09-00-00"
CLASSES = {
    "blackboard": {
        **{f"A_b_al_x_attempt_{STAMP.format(n)}_p.csv": b"%d" % n for n in (1, 2)},
        f"A_b_al_x_attempt_{STAMP.format(2)}.txt": b'Name: Al "X", jr (al_x)\n',
        f"A_b_al_y_attempt_{STAMP.format(2)}_q.csv": b"3",
        f"A_b_al_y_attempt_{STAMP.format(2)}.txt": b"Name: Al Y (al_y)\n",
    },
    "brightspace": {
        "index.html": b"<html>",
        **{f"7-9 - al_x - Nov {n}, 2026 905 AM/p.csv": b"%d" % n for n in (1, 2)},
        "8-9 - al_y - Nov 2, 2026 1205 PM/q.csv": b"3",
    },
    "brightspace ": {
        **{f"7-9 - al_x - Nov {n}, 2026 905 AM - p.csv": b"%d" % n for n in (1, 2)},
        "8-9 - al_y - Nov 2, 2026 1205 PM - q.csv": b"3",
    },
    "sakai": {
        "T/grades.csv": b"x",
        **{f"T/X, Al(al_{k})/timestamp.txt": b"x" for k in "xy"},
        "T/X, Al(al_x)/Anhang/p.csv": b"2",
        "T/X, Al(al_y)/Anhang/q.csv": b"3",
    },
    "nbgrader": {
        **{f"submitted/al_{k}/hw/timestamp.txt": b"x" for k in "xy"},
        "submitted/al_x/hw/p.csv": b"2",
        "submitted/al_y/hw/q.csv": b"3",
    },
    "teams": {
        **{f"al_x/hw, 1/Versión {n}/p.csv": b"%d" % n for n in (1, 2)},
        "al_y/hw, 1/Versión 1/q.csv": b"3",
    },
    "ilias": {
        "M/status.csv": b"usr_id,login\n7,al_x\n8,al_y\n",
        "M/X_Al_al_x_7/p.csv": b"2",
        "M/X_Al_al_y_8/q.csv": b"3",
    },
    "openolat": {
        "ita_1/X_Al_alx/1_submissions/p.csv": b"1",
        "ita_1/X_Al_alx/2_corrections/p.csv": b"9",
        "ita_1/X_Al_alx/3_revisions_1/p.csv": b"2",
        "ita_1/X_Al_aly/1_submissions/q.csv": b"3",
    },
    "submitty": {
        **{f"submissions/al_x/{n}/p.csv": b"%d" % n for n in (9, 10)},
        "submissions/al_x/user_assignment_settings.json": b"{}",
        "submissions/al_y/1/q.csv": b"3",
    },
    "codegrade": {
        **{f"al_x - 2026-11-0{n}T09:00:00/p.csv": b"%d" % n for n in (1, 2)},
        "al_x - 2026-11-02T09:00:00/.cg-grade": b"x",
        "al_y - 2026-11-02T09:00:00/q.csv": b"3",
    },
    "openedx": {
        "submissions.csv": b"x",
        "[1]Só, [1]b, [1]u/[1] - al_x - p.csv": b"2",
        "[1]Só, [1]b, [1]u/[1] - al_x - prompt_0.txt": b"x",
        "[1]Só, [1]b, [1]u/[2] - al_y - q.csv": b"3",
    },
    "autolab": {
        **{f"al_x@a.org_{n}_p.csv": b"%d" % n for n in (9, 10)},
        "al_y@a.org_1_p.csv": b"3",
    },
    "canvas": {"anon_al0x_9_p.csv": b"2", "LATE_anon_al0y_8_q.csv": b"3"},
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("is_zip", [False, True])
def test_each_student_has_one_row_with_the_newest_attempt(tmp_path, name, is_zip):
    files = CLASSES[name]
    write(tmp_path, {"c.zip": zipped(files)} if is_zip else {f"c/{n}": b for n, b in files.items()})
    path = tmp_path / ("c.zip" if is_zip else "c")
    (tmp_path / "t").mkdir()
    rows = find_submissions([path], "process", tmp_path / "t", name.strip()).submissions
    assert len({row.key for row in rows}) == len(rows) == 2
    assert all(row.key.startswith("al") for row in rows)
    contents = [
        [p.read_bytes() for _, p in row.files] or [row.source.read_bytes()]
        for row in sorted(rows, key=lambda row: row.key)
    ]
    newest = b"10" if name in ("submitty", "autolab") else b"2"
    assert contents == [[newest], [b"3"]]


def test_folder_of_too_many_files_hides_no_other_student(tmp_path, monkeypatch):
    monkeypatch.setattr("grading.intake.attempts._MAX_FILES", 60)
    monkeypatch.setattr("grading.intake.attempts._LEAST_FILES", 20)
    for name in ("around/ada", "around/eve/more", "around/zoe"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(100):
        (tmp_path / f"around/eve/more/{number}.csv").touch()
    for name in ("ada", "zoe"):
        (tmp_path / f"around/{name}/model.pth").touch()
    names = {path[1] for path in files_under(tmp_path)}
    assert names == {"ada", "eve", "zoe"}
    assert len(files_under(tmp_path)) == 22
