"""Each platform's file of grades, read back by the platform's own rules (docs/gradebooks.md)."""

import csv
import io
import json
import zipfile

import pytest

from common.support.errors import UserError
from grading.gradebooks.gradebook import FORMATS
from tests.conftest import run
from tests.grading.folders import write, zipped
from tests.grading.gradebooks.examples import failed, fill_in, graded

# First name, last name, key: accents, commas, quotes, two of one name; al_w handed nothing in.
PEOPLE = [
    ("José", "Nuñez, jr", "al_x"),
    ('Al "Q"', "O'Neil; \\", "al_y"),
    ("Ann", "Lee", "al_z"),
    ("Ann", "Lee", "al_w"),
    ("Bo", "Li", "al_v"),
]
ROWS = [
    graded("al_x", 9840, student="al_x"),
    graded("al_y", 9000, student="al_y", accuracy=89.996, status="fail"),
    graded("al_z", 9100, student="AL_Z"),
    failed("al_v") | {"student": "al_v"},
    graded("stranger", 9500, student="zed"),
]


def table(*rows, delimiter=",", before=()):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([*before, *rows])
    return "\ufeff" + buffer.getvalue()


BLACKBOARD = table(
    [
        *("Last Name", "First Name", "Username", "Student ID", "Quiz [Total Pts: 5 Score] |7"),
        *("MNIST [Total Pts: 20] |664617", "Total [Total Pts: up to 25 Score] |9"),
    ],
    *([last, first, key, "", "", "3", ""] for first, last, key in PEOPLE),
)
BRIGHTSPACE = table(
    [
        *("OrgDefinedId", "Username", "Last Name", "First Name"),
        *("MNIST Points Grade <Numeric MaxPoints:50 Weight:3>", "End-of-Line Indicator"),
    ],
    *([f"#N{n}", f"#{key}", last, first, "", "#"] for n, (first, last, key) in enumerate(PEOPLE)),
)
SAKAI = {
    delimiter: table(
        ["Anzeige", "Kennung", "Nachname", "Vorname", "Note", "Zeit", "Spät"],
        *([key, key, last, first, "", "x", "x"] for first, last, key in PEOPLE),
        delimiter=delimiter,
        before=[["MNIST", "SCORE_GRADE_TYPE"], [""]],
    )
    for delimiter in ",;"
}
SAKAI_OF_GROUPS = table(["t", "y"], [""], ["Group", "ID", "Users", "g", "t", "l"], ["x"] * 6)
ILIAS_TITLES = ["update", "usr_id", "login", "lastname", "firstname", "status", "mark"]
ILIAS_TITLES += ["notice", "comment", "plagiarism", "plag_comment"]
ILIAS = table(
    ILIAS_TITLES,
    *(
        ["0", str(n), key, last, first, "notgraded", "", "seen", "good", "", ""]
        for n, (first, last, key) in enumerate(PEOPLE, 1)
    ),
    delimiter=";",
)


def unzipped(data, name):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == [name]
        return archive.read(name)


def blackboard(data):
    text = data.decode()
    header, *rows = csv.reader(io.StringIO(text), strict=True)
    assert header == ["Username", "MNIST [Total Pts: 20] |664617"], "no new column is made"
    assert text.count('"') == 4 * len(text.splitlines()), "every cell is in quotes"
    return dict(rows)


def brightspace(data):
    header, *rows = csv.reader(io.StringIO(data.decode()), strict=True)
    assert header[:2] == ["OrgDefinedId", "Username"]
    assert header[2].startswith("MNIST Points Grade <Numeric MaxPoints:50")
    assert header[3] == "End-of-Line Indicator"
    assert {row[3] for row in rows} == {"#"}
    return {row[1].lstrip("#"): row[2] for row in rows}


def sakai(data, delimiter=","):
    text = unzipped(data, "grades/grades.csv").decode("utf-8")
    assert text.startswith("\ufeff")
    lines = list(csv.reader(io.StringIO(text), delimiter=delimiter, escapechar="\\", strict=True))
    names = {key: (last, first) for first, last, key in PEOPLE}
    for line in lines[3:]:  # by place alone; an empty cell would clear a grade
        assert line[4]
        assert (line[2], line[3]) == names[line[1]]
    return {line[1]: line[4] for line in lines[3:]}


def ilias(data):
    text = unzipped(data, "Multi_Feedback_grades_1/status.csv").decode()
    first = text.splitlines()[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    header, *rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    assert header == ILIAS_TITLES, "columns are known by place, and all are needed"
    updated = {row[2]: f"{row[6]} {row[5]}" for row in rows if row[0] == "1"}
    assert all(row[7:] == ["seen", "good", "", ""] for row in rows)
    assert {row[5] for row in rows if row[0] != "1"} == {"notgraded"}
    return updated


def split(num_cells):
    def read(data):  # no quotes, whatever is in a cell
        cells = [line.split(",") for line in data.decode().splitlines()]
        assert {len(row) for row in cells} == {num_cells}
        return {row[0]: " ".join(row[1:]) for row in cells}

    return read


def quoted(data):
    return {row[0]: " ".join(row[1:]) for row in csv.reader(io.StringIO(data.decode()))}


WITH_LIST = {
    "blackboard": (BLACKBOARD, blackboard, "MNIST", ["19.68", "17.999", "18.20"]),
    "brightspace": (BRIGHTSPACE, brightspace, None, ["49.20", "44.998", "45.50"]),
    "sakai": (SAKAI[","], sakai, None, ["98.40", "89.99", "91.00"]),
    "ilias": (ILIAS, ilias, None, ["98.40 passed", "89.996 failed", "91.00 passed"]),
}
WITHOUT_LIST = {
    "openolat": (split(3), ["98.40 y", "89.996 n", "91.00 y"]),
    "autolab": (quoted, ["98.40 normal", "89.996 normal", "91.00 normal"]),
    "nbgrader": (split(3), ["98.40 100", "89.996 100", "91.00 100"]),
    "submitty": (quoted, ["98.40", "89.996", "91.00"]),
}


def test_every_platform_with_an_import_is_tried():
    tried = {*WITH_LIST, *WITHOUT_LIST, "canvas", "moodle", "gradescope"}  # those in their own file
    assert tried == {*FORMATS}


@pytest.mark.parametrize("platform", WITH_LIST)
def test_list_is_filled_in(tmp_path, platform):
    roster, read, assignment, grades = WITH_LIST[platform]
    data, said = fill_in(tmp_path, platform, roster, *ROWS, assignment=assignment)
    assert read(data) == dict(zip(["al_x", "al_y", "al_z"], grades, strict=True))
    assert said.lost == ["'stranger' (95.00 %, pass): fits no student of the roster"]
    assert "1 student of the roster has no submission: 'Ann Lee (" in "\n".join(said.lines)


@pytest.mark.parametrize("platform", WITHOUT_LIST)
def test_table_has_the_keys_of_the_download(tmp_path, platform):
    read, grades = WITHOUT_LIST[platform]
    rows = [
        *ROWS[:4],
        graded("=x", 9500, student="=x"),
        graded("a\nb", 9500, student="a\nb"),
        graded('a,"b', 9500, student='a,"b'),
        graded("of nobody", 9500),
        *(graded(f"twice/{n}", 9500, student="twice") for n in range(2)),
    ]
    data, said = fill_in(tmp_path, platform, None, *rows)
    found = read(data)
    comma = found.pop('a,"b', None)
    assert (comma is None) == (platform in ("openolat", "nbgrader"))
    found.pop("student_id", None), found.pop("user_id", None)  # headers
    assert found == dict(zip(["al_x", "al_y", "AL_Z"], grades, strict=True))
    lost = [line.partition("): ")[2] for line in said.lost]
    assert len(lost) == 5 + (comma is None)
    assert sum("has 2 submissions" in why for why in lost) == 2
    assert sum("that could be written" in why for why in lost) == 3 + (comma is None)


def test_decimal_sign_and_separator_of_sakais_own_list(tmp_path):
    data, _ = fill_in(tmp_path, "sakai", SAKAI[";"], *ROWS)
    assert sakai(data, ";") == {"al_x": "98,40", "al_y": "89,99", "al_z": "91,00"}


def test_teams_of_ilias(tmp_path):
    titles = ["update", "team_id", "logins", "status", "mark", "notice", "comment"]
    titles += ["plagiarism", "plag_comment"]
    roster = table(titles, *(["0", n, "a, b", "notgraded", *[""] * 5] for n in ("3", "4")))
    row = graded("Team 3", 9840, student="Team 3")
    data, said = fill_in(tmp_path, "ilias", roster, row)
    text = unzipped(data, "Multi_Feedback_Team_1/status.csv").decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert [line[:5] for line in rows[1:]] == [
        ["1", "3", "a, b", "passed", "98.40"],
        ["0", "4", "a, b", "notgraded", ""],
    ]
    assert said.lost == []


def test_names_alone_are_never_a_guess_and_accents_may_be_missing(tmp_path):
    rows = [
        graded("Jose Nunez, jr", 9840, student="Jose Nunez, jr"),
        graded("Ann Lee", 9100, student="Ann Lee"),
    ]
    data, said = fill_in(tmp_path, "brightspace", BRIGHTSPACE, *rows)
    assert brightspace(data) == {"al_x": "49.20"}
    assert "'Jose Nunez, jr' was taken for 'José Nuñez, jr (N0)', written without accents" in (
        "\n".join(said.lines)
    )
    assert "taken for 'José Nuñez, jr (N0)'" in (tmp_path / "grades.csv").read_text("utf-8")
    assert said.lost == [
        "'Ann Lee' (91.00 %, pass): fits 2 students of the roster: 'Ann Lee (N2)', 'Ann Lee (N3)'"
    ]


@pytest.mark.parametrize(
    ("names", "key", "found"),
    [
        (["Jörg Weiß"], "Joerg Weiss", True),
        (["Jörg Weiß"], "Jorg Weiss", True),
        (["Łukasz Świątek"], "Lukasz Swiatek", True),
        (["José Gil", "Josè Gil"], "Jose Gil", False),  # leaves two
        (["José Gil", "Jose Gil"], "Jose  Gil", False),  # the other is written so
        (["Jose Gil"], "José Gil", False),  # only what is missing may be added
    ],
)
def test_accents_count_where_two_are_left_without_them(tmp_path, names, key, found):
    titles = ["OrgDefinedId", "First Name", "Last Name", "L Points Grade <Numeric MaxPoints:100>"]
    roster = table(titles, *([f"#{n}", *name.split(), ""] for n, name in enumerate(names)))
    data, said = fill_in(tmp_path, "brightspace", roster, graded(key, 9100, student=key))
    assert (b"91.00" in data) == found
    assert len(said.lost) == (not found)


@pytest.mark.parametrize(
    ("platform", "roster", "assignment", "complaint"),
    [
        ("blackboard", BLACKBOARD, None, "has the assignments 'Quiz .*': name one of them"),
        ("blackboard", BLACKBOARD, "Total", "name one of them with --assignment"),
        ("blackboard", table(["Username", "x"], ["a", ""]), None, "has no assignment such as"),
        ("sakai", SAKAI_OF_GROUPS, None, "is no grades.csv of Sakai, of an assignment for stud"),
        ("ilias", table(["login"], ["a"]), None, "is no status.csv of ILIAS's plugin"),
        ("brightspace", BRIGHTSPACE.replace("#al_x", "=al_x"), None, "'=al_x' in row 2 is a form"),
        ("brightspace", None, None, "--format brightspace needs --roster FILE"),
        ("openolat", ILIAS, None, "--roster and --assignment go with --format blackboard or"),
    ],
)
def test_wrong_lists_are_usage_errors(tmp_path, platform, roster, assignment, complaint):
    with pytest.raises(UserError, match=complaint):
        fill_in(tmp_path, platform, roster, assignment=assignment)


def test_numbers_of_one_platform_are_nobodys_on_another(tmp_path):
    """On Canvas and Moodle a key is a number that means another person elsewhere."""
    roster = BLACKBOARD.replace('"al_x"', '"201"')
    row = graded("x_201_assignsubmission_file", 9840, student="201")
    row["upload"] = row["name"]
    data, said = fill_in(tmp_path, "blackboard", roster, row, assignment="MNIST")
    assert blackboard(data) == {}
    assert len(said.lost) == 1


def test_stamps_keys_and_grades_through_the_script(workspace):
    """Late days by each platform's own stamps, whatever the zone, and the key as ``student``."""
    stamps = {
        "blackboard": [f"L_al{k}_attempt_2026-12-0{d}-09-00-00_p.csv" for k, d in ("x1", "y2")],
        "brightspace": [f"7{d}-9 - al{k} - Dec {d}, 2026 905 AM/p.csv" for k, d in ("x1", "y2")],
        "codegrade": [f"al{k} - 2026-12-0{d}T09:00:00/p.csv" for k, d in ("x1", "y2")],
    }
    classes = {name: dict.fromkeys(names, b"") for name, names in stamps.items()}
    for platform, folder, name, time in (
        ("sakai", "T/X, Al(al{})", "timestamp.txt", "2026-12-0{}T22:58:00Z"),
        ("nbgrader", "submitted/al{}/hw", "timestamp.txt", "2026-12-0{} 22:58:00.123456 UTC"),
        ("submitty", "submissions/al{}/1", ".submit.timestamp", "2026-12-0{} 22:58:00+0000"),
    ):
        classes[platform] = {
            f"{folder.format(k)}/{file}": content
            for k, day in ("x1", "y2")
            for file, content in (
                ("Anhang/p.csv" if platform == "sakai" else "p.csv", b""),
                (name, time.format(day).encode()),
            )
        }
    for platform, files in classes.items():
        write(workspace, {f"{platform}.zip": zipped(files)})
        flags = ("--platform", platform, "--due", "2026-12-01T23:59+01:00")
        flags += ("--format", platform) if platform in ("nbgrader", "submitty") else ()
        completed = run("evaluate.py", f"{platform}.zip", *flags, cwd=workspace)
        assert "1 late, 1 in time" in completed.stdout, (platform, completed.stdout)
        rows = json.loads((workspace / "runs/grading/evaluation.json").read_text())["results"]
        assert {row["student"]: row["late"] for row in rows} == {"alx": False, "aly": True}
