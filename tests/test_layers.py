"""Who may import whom, and what the light scripts must not reach."""

import ast
import functools

import pytest

from tests.conftest import REPO

SCRIPTS = ("train_base", "train_improved", "evaluate", "report")
ROOMS = ("common", "evaluations", "own_runs", "grading", "reporting")
# Whatever is not here may import these two.
ROOMS_BELOW = {"common": (), "evaluations": ("common",)}

# Each unit of common, and the others that it may import.
ALLOWED = {
    "support": set(),
    "models": {"layers"},
    "layers": {"support"},
    "metrics": set(),
    "data": {"support"},
    "transforms": {"data"},
    "loops": {"data", "models", "support", "transforms"},
    "checkpoints": {"data", "loops", "models", "support"},
    "runs": {"checkpoints", "layers", "loops", "metrics", "models", "support"},
}
# Likewise within grading.
ALLOWED_IN_GRADING = {
    "platforms": set(),
    "flags": {"gradebooks", "platforms", "preprocessing"},
    "grade_class": {"document", "grade", "intake", "preprocessing", "sandbox"},
    "test_sets": set(),
    "gradebooks": {"platforms"},
    "sandbox": set(),
    "intake": {"platforms", "sandbox"},
    "preprocessing": {"sandbox"},
    "readers": {"sandbox"},
    "grade": {"intake", "preprocessing", "sandbox"},
    "document": {"grade", "intake"},
}
GRADING_TAKES = {"layers", "models", "transforms", "metrics", "data", "support"}
EVALUATIONS_TAKE = {"metrics", "data", "support"}
OWN_RUNS_TAKE = {*ALLOWED} - {"runs"}
REPORTING_TAKES = {
    *("common.data.catalog", "common.data.pixels"),
    *("common.support.cli", "common.support.errors", "common.support.files", "common.support.text"),
    *("evaluations.disclosure", "evaluations.names", "evaluations.schemas"),
    *("evaluations.validation", "evaluations.words"),
}
MAY_REACH_TORCH = (
    *("grading.readers", "grading.sandbox.reading", "grading.sandbox.server"),
    *("grading.sandbox.portable.measuring", "grading.sandbox.portable.worker"),
)

MODULES = sorted(path for room in ROOMS for path in (REPO / room).rglob("*.py"))


def name_of(path):
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


PLATFORMS = sorted((REPO / "platforms").rglob("*.py"))
FILES = {
    name_of(path): path for path in [*MODULES, *PLATFORMS, *(REPO / f"{s}.py" for s in SCRIPTS)]
}


def is_for_types_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@functools.cache
def imported_by(path, at_import=False):
    """Return the modules that a file imports; ``at_import`` leaves out imports in functions."""
    found = []
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if at_import and (isinstance(node, ast.FunctionDef) or is_for_types_only(node)):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found += [node.module, *(name for name in names if name in FILES)]
    return found


def units_imported_by(path, within):
    """Return the units of a package that a file imports."""
    names = {name for name in imported_by(path) if name.startswith(f"{within}.")}
    return {name.removeprefix(f"{within}.").split(".")[0] for name in names}


def reached_from(start):
    """Return all modules that importing a file imports, by the imports outside of functions."""
    reached, waiting = set(), [start]
    while waiting:
        for name in imported_by(FILES[waiting.pop()], at_import=True):
            if name not in reached:
                reached.add(name)
                waiting += [name] if name in FILES else []
    return {name.split(".")[0] for name in reached}, reached


def units_of(room):
    """Return the modules and folders of a room."""
    found = {path.stem for path in (REPO / room).glob("*.py")}
    return found - {"__init__"} | {path.parent.name for path in (REPO / room).glob("*/__init__.py")}


def rooms_imported_by(path):
    return {name.split(".")[0] for name in imported_by(path)} & {*ROOMS, *SCRIPTS, "platforms"}


def test_every_unit_is_in_the_tables():
    assert units_of("common") == ALLOWED.keys()
    assert units_of("grading") == ALLOWED_IN_GRADING.keys()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_do_not_know_each_other(path):
    room = path.relative_to(REPO).parts[0]
    assert rooms_imported_by(path) <= {room, *ROOMS_BELOW.get(room, ("common", "evaluations"))}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_units_import_only_what_is_below_them(path):
    room, *parts = path.relative_to(REPO).with_suffix("").parts
    taken = units_imported_by(path, "common")
    if room == "common":
        assert taken <= {parts[0], *ALLOWED.get(parts[0], set())}
    if room == "evaluations":
        assert taken <= EVALUATIONS_TAKE
    if room == "own_runs":
        assert taken <= OWN_RUNS_TAKE
    if room == "grading":
        assert taken <= GRADING_TAKES
        assert units_imported_by(path, "grading") <= {
            parts[0],
            *ALLOWED_IN_GRADING.get(parts[0], set()),
        }


def test_tables_have_no_circle():
    for table in (ALLOWED, ALLOWED_IN_GRADING):
        placed = set()
        while placed < table.keys():
            ready = {unit for unit in table.keys() - placed if table[unit] <= placed}
            assert ready, f"a circle among {table.keys() - placed}"
            placed |= ready


@pytest.mark.parametrize("path", sorted((REPO / "reporting").rglob("*.py")), ids=name_of)
def test_reporting_takes_little_from_elsewhere(path):
    taken = {name for name in imported_by(path) if name in FILES and FILES[name].stem != "__init__"}
    assert {name for name in taken if not name.startswith("reporting")} <= REPORTING_TAKES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_packages_import_nothing_and_files_fit_one_sitting(path):
    if path.name == "__init__.py":
        assert not imported_by(path)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("script", ["report", "evaluate", "platforms.gradescope.grade"])
def test_light_scripts_reach_neither_torch_nor_scipy(script):
    packages, _ = reached_from(script)
    assert "numpy" in packages, "the closure does follow imports"
    assert not packages & {"torch", "torchvision", "scipy"}


def test_closure_finds_torch_where_it_is():
    assert "torch" in reached_from("train_base")[0]


@pytest.mark.parametrize("path", sorted((REPO / "grading").rglob("*.py")), ids=name_of)
def test_only_what_reads_networks_reaches_torch(path):
    if "torch" in reached_from(name_of(path))[0]:
        assert name_of(path).startswith(MAY_REACH_TORCH)


@pytest.mark.parametrize("name", [*SCRIPTS, *map(name_of, PLATFORMS)])
def test_no_script_imports_another(name):
    assert not set(imported_by(FILES[name])) & {*SCRIPTS}


def test_no_folder_is_too_full_to_be_seen_at_a_glance():
    folders = {path.parent for path in MODULES}
    for folder in folders:
        entries = [p for p in folder.iterdir() if p.name != "__pycache__"]
        assert len(entries) <= 12, folder
