"""The structure that the package's own docstring promises."""

import ast
import re

import pytest
from conftest import REPO

import common

LAYERS = re.findall(r"``(\w+)``", common.__doc__)
SCRIPTS = ("train_base", "train_improved", "evaluate", "report")


def imported_by(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_module_has_its_place():
    modules = {path.stem for path in (REPO / "common").glob("*.py")} - {"__init__"}
    assert sorted(LAYERS) == sorted(modules)


@pytest.mark.parametrize("module", LAYERS)
def test_modules_import_only_what_stands_before_them(module):
    found = imported_by(REPO / f"common/{module}.py")
    names = {name.split(".")[1] for name in found if name.startswith("common.")}
    assert names & set(LAYERS) <= set(LAYERS[: LAYERS.index(module)])


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_imports_another(script):
    assert not set(imported_by(REPO / f"{script}.py")) & set(SCRIPTS)
