"""Small rosters, and rows of an evaluation."""

import csv

from grading.gradebooks.gradebook import Gradebook

CANVAS_HEADER = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Essay (11),MNIST lab (4567),Current Score"
)
CANVAS_ROWS = [
    "    Points Possible,,,,,10,20,(read only)",
    '"Lee, Ann",101,S1,ann,A,8,,80',
    '"Müller, Bob",102,S2,bob,A,7,5.00,70',
    '"O\'Neill, Cy",103,S3,cy,B,,,',
    '"Lee, Ann",104,S4,dora,B,,1.00,',
    '"=1+1, Eve",105,S5,eve,B,,,',
]
WORKSHEET = [
    "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,"
    "Last modified (submission),Last modified (grade),Feedback comments",
    'Participant 201,Ann Lee,ann@x.org,Submitted,,50.00,Yes,"Monday, 2 November",-,',
    "Participant 202,Bob Müller,bob@x.org,Submitted,44.00,50.00,Yes,-,-,earlier",
    "Participant 203,Cy O'Neill,cy@x.org,No submission,,50.00,Yes,-,-,",
]


def graded(name, correct, **changes):
    return {
        "name": name,
        "kind": "checkpoint",
        "architecture": "MNISTClassifier",
        "status": "pass" if correct >= 9000 else "fail",
        "reason": None,
        "correct": correct,
        "total": 10_000,
        "accuracy": correct / 100,
        "accuracy_ci95": [correct / 100 - 0.3, correct / 100 + 0.3],
        "parameters": 567_434,
        "notes": "",
        "sha256": "0" * 64,
        **changes,
    }


def failed(name, reason="not a checkpoint"):
    return {"name": name, "status": "error", "reason": reason}


def document(*rows):
    return {
        "results": list(rows),
        "threshold": 90.0,
        "dataset": {"size": 10_000, "title": "MNIST"},
        "best": None,
    }


def written(folder, platform, roster, *rows, assignment=None):
    """Return the platform's file, read strictly, and what was said of it."""
    path = folder / "roster.csv"
    path.write_text("\ufeff" + "\n".join(roster) + "\n", encoding="utf-8")
    said = Gradebook(platform, path, assignment).write(document(*rows), folder)
    with (folder / f"{platform}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True)), said


def fill_in(folder, platform, roster, *rows, assignment=None):
    """Return the file of grades of a platform, made of a roster's text, and what was said."""
    path = folder / "roster.csv" if roster else None
    if path:
        path.write_text(roster, encoding="utf-8")
    said = Gradebook(platform, path, assignment).write(document(*rows), folder)
    return (folder / said.gradebook).read_bytes(), said
