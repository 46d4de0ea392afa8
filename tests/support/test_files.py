"""Files are written whole or not at all, and JSON says which schema it follows."""

import json
import os
import stat
import tracemalloc

import pytest

from common.support import files
from common.support.errors import UserError


def test_new_content_replaces_the_old_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep/er/file.bin"
    files.atomic_write(path, b"old")
    files.atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_nothing_but_a_file_is_written_over(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", ".", ""):
        with pytest.raises(UserError, match="not a regular file"):
            files.atomic_write(tmp_path / name, b"")
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_longest_name_that_the_file_system_takes(tmp_path):
    files.atomic_write(tmp_path / ("x" * 255), b"")


def test_files_are_as_readable_as_others(tmp_path):
    before = os.umask(0o027)
    try:
        files.atomic_write(tmp_path / "file.bin", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.bin").stat().st_mode) == 0o640


def test_json_round_trip(tmp_path):
    path = tmp_path / "document.json"
    files.write_json(path, {"b": [1.5, None], "a": "é ✓"})
    assert files.read_json(path) == {"schema_version": 2, "a": "é ✓", "b": [1.5, None]}
    text = path.read_text(encoding="utf-8")
    assert text.index('"a"') < text.index('"b"')
    assert "é ✓" in text


def test_json_is_that_of_the_json_module_however_long_it_is(tmp_path):
    rows = [{"name": f"é ✓ {n}", "figures": [n, n / 3, None, {}, []]} for n in range(5000)]
    document = {"schema_version": 2, "results": rows, "empty": ""}
    files.write_json(tmp_path / "document.json", document)
    with (tmp_path / "same.json").open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")
    assert (tmp_path / "document.json").read_bytes() == (tmp_path / "same.json").read_bytes()


def test_json_of_any_layout_is_read_alike(tmp_path):
    rows = [{"name": "  ]", "more": {"a": [{}, []]}}, {"name": "    }"}]
    document = {"a": [1], "results": rows, "schema_version": 2, "z": {"results": [{"b": 1}]}}
    for results in (rows, [], [*rows, 1], [1]):
        for indent in (2, 1, None):
            expected = document | {"results": results}
            (tmp_path / "document.json").write_text(json.dumps(expected, indent=indent))
            assert files.read_json(tmp_path / "document.json") == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"schema_version": 2,\n  "results": [\n    {\n    }\n  ],\n  "results": 5\n}',
        '{"schema_version": 2, "inner": {\n  "results": [\n    {\n    }\n  ]\n}}',
        '{"schema_version": 2,\n  "results": [\n    {\n    }, {\n    }\n  ]\n}',
        '{"schema_version": 2,\n  "results": [\n    {\n    }\n  ], "a": 1\n}',
    ],
)
def test_json_that_was_edited_is_read_as_json_reads_it(tmp_path, text):
    (tmp_path / "document.json").write_text(text)
    assert files.read_json(tmp_path / "document.json") == json.loads(text)


def test_json_takes_no_more_memory_than_what_is_in_it(tmp_path):
    path = tmp_path / "document.json"
    row = {"name": "x" * 20_000, "figures": list(range(1000))}
    tracemalloc.start()
    files.write_json(path, {"results": [row] * 200})
    _, written = tracemalloc.get_traced_memory()
    document = files.read_json(path)
    now, read = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert document["results"] == [row] * 200
    assert path.stat().st_size > 6e6
    assert max(written, read - now) < 2e6
    # Equal strings are one.
    assert len({id(row["name"]) for row in document["results"]}) == 1


def test_json_shows_what_is_invisible_as_an_escape(tmp_path):
    path = tmp_path / "document.json"
    files.write_json(path, {"name": "a\u202eb\n\x7f\U000e0041"})
    assert '"a\\u202eb\\n\\u007f\\udb40\\udc41"' in path.read_text(encoding="utf-8")
    assert files.read_json(path)["name"] == "a\u202eb\n\x7f\U000e0041"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_has_no_nan(tmp_path, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "document.json", {"a": number})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"schema_version": 2, "a"', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "schema_version None"),
        (b'{"schema_version": 1}', "schema_version 1, and this code reads 2"),
    ],
)
def test_json_that_cannot_be_trusted_is_refused(tmp_path, content, complaint):
    path = tmp_path / "document.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        files.read_json(path)
