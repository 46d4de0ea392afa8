"""How a page is named in the archive of a platform, held against that platform's own reading."""

import re

import pytest

from reporting.student_pages import member_name

MOODLE = (
    "Ana María López_12345_assignsubmission_file_",
    "Bo Li_12346_assignsubmission_file",
    "Cy O'Neill_12347_assignsubmission_file_model.pth",
)


def moodle_takes(member):
    """Moodle's own reading of a member (docs/gradebooks.md): who gets it, and under which name."""
    info = member.split("/")[0].split("_", 4)
    assert len(info) == 5
    assert info[1].isdecimal()
    assert info[2:4] == ["assignsubmission", "file"]
    return int(info[1]), info[4]


def canvas_takes(member):
    """Canvas's own reading of a member: whose it is, and which of their files it answers."""
    parts = [part for part in member.split("_") if part != "LATE"]
    assert not parts[-1].startswith("link")
    if parts[0] == "anon":
        return parts[1], int(parts[2])
    user, file = [part for part in parts if re.fullmatch(r"[0-9]+", part)][:2]
    return int(user), int(file)


@pytest.mark.parametrize("upload", MOODLE)
def test_moodle_gives_a_page_to_whom_the_upload_is_from(upload):
    member = member_name("moodle", upload)
    who = int(upload.split("_")[1])
    assert moodle_takes(member) == (who, "feedback.html")
    assert "/" not in member


@pytest.mark.parametrize(
    ("upload", "taken"),
    [
        ("lopezana_4711_88001_model.pth", (4711, 88001)),
        ("lópezana_LATE_4711_88001_my_model-1.pth", (4711, 88001)),
        ("lopezana_4711_88001_1_2_3.csv", (4711, 88001)),
        ("anon_aB3xZ_88003_model.pth", ("aB3xZ", 88003)),
        ("LATE_anon_aB3xZ_88003_model.pth", ("aB3xZ", 88003)),
    ],
)
def test_canvas_gives_a_page_to_whom_the_upload_is_from(upload, taken):
    assert canvas_takes(upload) == taken
    assert canvas_takes(member_name("canvas", upload)) == taken


def test_what_has_no_name_of_the_platform_is_not_packed():
    for upload in (
        "model.pth",
        "Ana_assignsubmission_file_x",
        "Ana_1_assignsubmission_onlinetext_",
    ):
        assert member_name("moodle", upload) is None
    for upload in ("model.pth", "ana_1_model.pth", "ana_1_2", "ana_x_2_model.pth"):
        assert member_name("canvas", upload) is None


@pytest.mark.parametrize(
    ("platform", "key", "upload", "member"),
    [
        (
            *("sakai", "al_(x"),
            "Lab, (1)/O'X, Al (1)(al_(x)/Anhang (s)/p.csv",
            "feedback/O'X, Al (1)(al_(x)/Feedback Attachment(s)/feedback.html",
        ),
        ("openolat", "alx", "ita_1/X_Al_alx/1_submissions/p.csv", "alx/feedback.html"),
        ("ilias", "al_x", "Multi_a_b_1/X_Al_al_x_77/p.csv", "feedback/X_Al_al_x_77/feedback.html"),
        ("ilias", "Team 3", "M/Team 3/X_Al_al_x_77/p.csv", None),  # a member's is not the team's
        ("sakai", "17", "Lab/17 Anonymous/Anhang/p.csv", None),
        ("openolat", "..", "ita_1/X_../1_submissions/p.csv", None),
        ("openolat", None, "p.csv", None),
    ],
)
def test_platform_with_folders_gets_a_page_by_the_students_key(platform, key, upload, member):
    assert member_name(platform, upload, key) == member
