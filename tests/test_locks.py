"""The locks: they fit the ranges, name files by hashes alone, and make falls back as it says."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import REPO

GROUPS = (
    *("requirements", "requirements-grading", "requirements-dev", "requirements-browser"),
    "platforms/requirements",
)


def ranges(path):
    """Return the requirements of a file, those of the files that it names included."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found += ranges(path.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            found.append(Requirement(line))
    return found


def locked(group):
    """Return the text after the name of each package in a lock."""
    text = (REPO / f"{group}.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=\w)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE), flags=re.M)
    return {canonicalize_name(entry.partition("==")[0]): entry for entry in entries if entry}


def version(entry):
    return Version(re.match(r"\S+?==(\S+) ", entry)[1])


@pytest.mark.parametrize("group", GROUPS)
def test_a_lock_satisfies_the_ranges_and_has_hashes(group):
    entries = locked(group)
    for requirement in ranges(REPO / f"{group}.txt"):
        assert version(entries[canonicalize_name(requirement.name)]) in requirement.specifier
    for entry in entries.values():
        pinned, *hashes = entry.replace("\\\n", "\n").split("--hash=")
        assert re.fullmatch(r"[\w.-]+==[\w.+]+( ; [^\n]+)?\s+", pinned), entry
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", text.strip()) for text in hashes), entry


@pytest.mark.parametrize("group", GROUPS)
def test_a_lock_names_no_host_and_no_path_of_a_machine(group):
    text = (REPO / f"{group}.lock").read_text(encoding="utf-8")
    assert "://" not in text
    for path in re.findall(r"-[rc] (\S+)", text):
        assert (REPO / path).is_file() and not os.path.isabs(path)


def test_locks_agree_on_versions():
    seen = {}
    for group in GROUPS:
        for name, entry in locked(group).items():
            assert seen.setdefault(name, version(entry).public) == version(entry).public, name


def test_what_platforms_install_is_part_of_the_requirements():
    everything = {str(r) for r in ranges(REPO / "requirements-dev.txt")}
    assert {str(r) for r in ranges(REPO / "platforms/requirements.txt")} <= everything


PYTHON = """#!/bin/sh
case "$*" in
"-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
*--require-hashes*) echo "$PIP_SAYS" >&2; [ -z "$PIP_SAYS" ] ;;
*requirements.txt) touch ranges ;;
esac
"""
NO_FILE = "ERROR: No matching distribution found for torch==2.14.1"
OTHER_FILE = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."


@pytest.mark.parametrize(
    ("pip_says", "option", "installed", "by_ranges"),
    [
        ("", "RANGES=true", True, False),
        (NO_FILE, "RANGES=true", True, True),
        (NO_FILE, "RANGES=false", False, False),
        (OTHER_FILE, "RANGES=true", False, False),
    ],
)
def test_ranges_stand_in_for_missing_files_and_never_for_others(
    tmp_path: Path, pip_says, option, installed, by_ranges
):
    (tmp_path / "Makefile").write_bytes((REPO / "Makefile").read_bytes())
    for name in ("requirements.lock", "requirements.txt"):
        (tmp_path / name).touch()
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    made = subprocess.run(
        ["make", f"PYTHON={python}", option, ".venv/.installed"],
        cwd=tmp_path,
        env={**os.environ, "PIP_SAYS": pip_says},
        capture_output=True,
        text=True,
    )
    assert (made.returncode == 0) == (tmp_path / ".venv/.installed").exists() == installed
    assert (tmp_path / "ranges").exists() == by_ranges
    assert pip_says in made.stderr
    assert ("installing the ranges of requirements.txt" in made.stderr) == by_ranges
    assert ("touch .venv/.installed" in made.stderr) != installed
