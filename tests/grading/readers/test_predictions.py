"""Prediction files: every form that has one meaning, and those that have several or none."""

import io
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from common.grading.readers.predictions import looks_like_predictions, parse_predictions
from common.support.errors import SubmissionError
from tests.conftest import REPO

N, C = 120, 10
GENERATOR = np.random.default_rng(8)
LABELS = GENERATOR.integers(C, size=N)
ORDER = GENERATOR.permutation(N)
LOGITS = 4 * np.eye(C)[LABELS] + GENERATOR.random((N, C))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
CLASS_NAMES = [str(n) for n in range(C)]


def text(*lines, header=None, newline="\n"):
    return newline.join([*([header] if header is not None else []), *lines, ""])


def pairs(form="{id},{label}", first=1, order=range(N), labels=LABELS):
    return [form.format(id=n + first, label=labels[n], n=n) for n in order]


def table(values=PROBABILITIES, delimiter=",", ids=None, form="{}"):
    rows = values.tolist()
    return [
        delimiter.join([*([str(n + ids)] if ids is not None else []), *map(form.format, row)])
        for n, row in enumerate(rows)
    ]


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npy_with_header(header, data=b"", version=1):
    size = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(size, "little") + header + data


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            is_type = name == "mimetype"
            file.writestr(name, "application/vnd.oasis.opendocument.spreadsheet" * is_type)
    return buffer.getvalue()


def savetxt(array, **options):
    buffer = io.BytesIO()
    np.savetxt(buffer, array, **options)
    return buffer.getvalue()


class Payload:
    """Creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


KAGGLE = text(*pairs(), header="ImageId,Label")
ALONE = list(map(str, LABELS))

AS_LABELS = {
    "kaggle": KAGGLE,
    "no header": text(*pairs()),
    "no line break at the end": KAGGLE.rstrip(),
    "in any order": text(*pairs(order=ORDER), header="ImageId,Label"),
    "other order of columns": text(*pairs("{label},{id}"), header="Label,ImageId"),
    "no header, other order": text(*pairs("{label},{id}", order=ORDER)),
    "ids from 0": text(*pairs(first=0), header="id,label"),
    "ids from 0, no header": text(*pairs(first=0, order=ORDER)),
    "semicolons": text(*pairs("{id};{label}"), header="ImageId;Label"),
    "semicolons, no header": text(*pairs("{id};{label}")),
    "tabs": text(*pairs("{id}\t{label}"), header="ImageId\tLabel"),
    "bars": text(*pairs("{id}|{label}"), header="ImageId|Label"),
    "spaces": text(*pairs("  {id}   {label} ")),
    "spaces and a header": text(*pairs("{id} {label}"), header="ImageId Label"),
    "sep line": text("ImageId;Label", *pairs("{id};{label}"), header="sep=;"),
    "quoted sep line": text("ImageId,Label", *pairs(), header='"sep=,"', newline="\r\n"),
    "decimal commas": text(*pairs("{id},0;{label},00"), header="ImageId;Label"),
    "CRLF": text(*pairs(), header="ImageId,Label", newline="\r\n"),
    "CR": text(*pairs(), header="ImageId,Label", newline="\r"),
    "BOM": "\ufeff" + KAGGLE,
    "UTF-16": KAGGLE.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + KAGGLE.encode("utf-16-be"),
    "UTF-16 without BOM": KAGGLE.encode("utf-16-le"),
    "UTF-16 without BOM, big end first": KAGGLE.encode("utf-16-be"),
    "Excel's unicode text": text(*pairs("{id}\t{label}"), header="Id\tClass").encode("utf-16"),
    "cp1252 in the header": text(*pairs("{id},{label},x"), header="Id,Label,Prénom").encode(
        "cp1252"
    ),
    "quoted": text(*pairs('"{id}","{label}"'), header='"ImageId","Label"'),
    "quoted after spaces": text(*pairs('{id}, "{label}"'), header='ImageId, "Label"'),
    "a comment of numpy's": text(*pairs(), header="# ImageId,Label"),
    "whole numbers": text(*pairs("{id}.0,{label}.00"), header="ImageId,Label"),
    "in exponents": savetxt(np.stack([np.arange(N) + 1, LABELS], axis=1), delimiter=","),
    "exponents and spaces": savetxt(np.stack([np.arange(N) + 1, LABELS], axis=1)),
    "zeros in front": text(*pairs("{id:05},{label}"), header="ImageId,Label"),
    "pandas' index": text(*pairs("{n},{id},{label}"), header=",ImageId,Label"),
    "pandas' index, read back": text(*pairs("{n},{n},{id},{label}"), header=",Unnamed: 0,Id,Label"),
    "pandas' index as ids": text(*pairs("{n},{label}"), header=",Label"),
    "pandas' index as ids, shuffled": text(
        *pairs("{n},{label}", order=ORDER), header="Unnamed: 0,Label"
    ),
    "pandas without names": text(*pairs("{n},{label}"), header=",0"),
    "pandas without names and index": text(*ALONE, header="0"),
    "pandas without names, two columns": text(*pairs(), header="0,1"),
    "pandas' series": text(*pairs(), header="ImageId,0"),
    "reset_index": text(*pairs("{n},{id},{label}"), header="index,ImageId,Label"),
    "empty columns": text(*pairs("{id},,{label},,"), header="ImageId,,Label,,"),
    "empty columns, no header": text(*pairs(",{id},{label},,")),
    "a named empty column": text(*pairs("{id},{label},"), header="ImageId,Label,Usage"),
    "commas at the end": text(*pairs("{id},{label},,"), header="ImageId,Label"),
    "empty rows": text(*pairs("{id},{label}\n\n , "), "", ",,,", header="\n\nImageId,Label\n,"),
    "another column": text(*pairs("{id},{label},0.9"), header="ImageId,Label,Confidence"),
    "the labels twice": text(*pairs("{id},{label},{label}"), header="id,label,prediction"),
    "labels alone": text(*ALONE),
    "labels alone under a header": text(*ALONE, header="Label"),
    "labels alone, header of two words": text(*ALONE, header="predicted label"),
    "labels alone of numpy's": savetxt(LABELS),
    "labels in a line": ",".join(ALONE),
    "labels in a line, spaces": " ".join(ALONE) + "\n",
    "labels in a line, a comma at the end": ", ".join(ALONE) + ",\n",
    "a list": str(LABELS.tolist()),
    "a list of numpy's": np.array2string(LABELS, threshold=N),
    "npy": npy(LABELS),
    "npy bytes": npy(LABELS.astype(np.uint8)),
    "npy floats": npy(LABELS.astype(">f4")),
    "npy column": npy(LABELS[:, None]),
    "npy row": npy(LABELS[None]),
    "npy with ids": npy(np.stack([ORDER, LABELS[ORDER]], axis=1)),
}
for _name in ("imageid", "IMAGE_ID", "Image Id", "ID", "index", "#", "idx", "image"):
    AS_LABELS[f"ids as {_name}"] = text(*pairs(), header=f"{_name},Label")
for _name in ("LABEL", "Category", "class", "Prediction", "predicted", "target", "digit", "y_pred"):
    AS_LABELS[f"labels as {_name}"] = text(*pairs("{label},{id}"), header=f"{_name},Id")

AS_PROBABILITIES = {
    "table": text(*table()),
    "pandas": text(*table(), header=",".join(CLASS_NAMES)),
    "pandas' index": text(*table(ids=0), header=",".join(["", *CLASS_NAMES])),
    "ids": text(*table(ids=1)),
    "ids from 0, named": text(*table(ids=0), header=",".join(["id", *CLASS_NAMES])),
    "names": text(*table(), header=",".join(f"p{n}" for n in CLASS_NAMES)),
    "names turned round": text(
        *table(PROBABILITIES[:, ::-1]), header=",".join(f"class_{n}" for n in CLASS_NAMES[::-1])
    ),
    "decimal commas": text(*table(delimiter=";", ids=1)).replace(".", ","),
    "numpy's": savetxt(PROBABILITIES),
    "percent": text(*table(100 * PROBABILITIES)),
    "logits": text(*table(LOGITS)),
    "log-probabilities": text(*table(np.log(PROBABILITIES))),
    "npy": npy(PROBABILITIES),
    "npy in Fortran's order": npy(np.asfortranarray(PROBABILITIES)),
    "npy logits": npy(LOGITS),
    "npy with ids": npy(np.column_stack([np.arange(N), PROBABILITIES])),
}


def encoded(content):
    return content if isinstance(content, bytes) else content.encode()


def parse(content, num_images=N, num_classes=C):
    found = parse_predictions(encoded(content), num_images, num_classes)
    assert all(note.isprintable() for note in found.notes)
    return found


def reason(content, num_images=N, num_classes=C):
    with pytest.raises(SubmissionError) as error:
        parse(content, num_images, num_classes)
    assert 10 < len(str(error.value)) <= 600
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.parametrize("form", AS_LABELS)
def test_labels_are_the_same_in_every_form(form):
    found = parse(AS_LABELS[form])
    assert found.values.dtype == np.uint8
    assert found.values.tolist() == LABELS.tolist()


@pytest.mark.parametrize("form", AS_PROBABILITIES)
def test_probabilities_are_the_same_in_every_form(form):
    found = parse(AS_PROBABILITIES[form])
    assert found.values.dtype == np.float64
    np.testing.assert_allclose(found.values, PROBABILITIES, rtol=1e-6)


@pytest.mark.parametrize("form", [*AS_LABELS, *AS_PROBABILITIES])
def test_all_that_is_read_looks_like_predictions(form):
    assert looks_like_predictions(encoded({**AS_LABELS, **AS_PROBABILITIES}[form]))


@pytest.mark.parametrize(
    "form", [npy(np.eye(C, dtype=bool)[LABELS]), text(*table(np.eye(C)[LABELS]))]
)
def test_one_hot_rows_are_probabilities(form):
    found = parse(form)
    assert found.values.tolist() == np.eye(C)[LABELS].tolist()


def test_rounded_probabilities_are_scaled_to_sum_to_1():
    found = parse(text(*table(form="{:.2f}")))
    np.testing.assert_allclose(found.values.sum(axis=1), 1)
    np.testing.assert_allclose(found.values, PROBABILITIES, atol=0.03)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (KAGGLE, None),
        (AS_LABELS["semicolons"], None),
        (AS_LABELS["ids from 0"], f"ids 0 to {N - 1} were counted from 0"),
        (AS_LABELS["labels alone"], "in the order of the test images"),
        (AS_LABELS["pandas' index"], "columns left out: (no name)"),
        (AS_LABELS["another column"], "columns left out: 'Confidence'"),
        (AS_LABELS["pandas without names and index"], "the first line, '0', was read as pandas'"),
        (AS_LABELS["no header, other order"], "the second column has the ids"),
        (AS_PROBABILITIES["ids"], None),
        (AS_PROBABILITIES["logits"], "read as logits (softmax)"),
        (AS_PROBABILITIES["percent"], "read as percent"),
        (text(*table(form="{:.0f}", values=LOGITS // 4)), "in 0 rows"),
        (text("0.5,0.5", *table(np.eye(2)[LABELS[1:] % 2])), "in 1 rows several values"),
    ],
)
def test_notes_say_what_was_decided(content, note):
    if note == "in 0 rows":
        assert not any("several values" in note for note in parse(content).notes)
    elif note is None:
        assert parse(content).notes == []
    else:
        found = parse(content, num_classes=2 if "several" in note else C)
        assert any(note in given for given in found.notes)


def changed(row, line, lines=None, header="ImageId,Label"):
    lines = pairs() if lines is None else lines
    return text(*lines[: row - 1], line, *lines[row:], header=header)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", "the file is empty"),
        (b"\n \r\n,,\n", "the file is empty"),
        ("ImageId,Label\n", "0 rows of predictions, expected 120"),
        (
            text(*pairs()[:-3], header="ImageId,Label"),
            "117 rows of predictions, expected 120|id 118",
        ),
        (text(*pairs()[:-3]), "117 rows of predictions, expected 120; id 118 is missing"),
        (
            text(*pairs(), "121,1", header="ImageId,Label"),
            "121 rows|line 122: id '121' is not 1 to",
        ),
        (text(*ALONE[1:]), "119 rows of predictions, expected 120"),
        (" ".join(ALONE[1:]), "119 labels in one line, expected 120"),
        (changed(5, "4,1"), "line 6: id 4 was on line 5 already; id 5 is missing"),
        (changed(1, "0,1"), "line 2: id '0' is not 1 to 120; id 1 is missing"),
        (changed(3, "2.5,1"), "line 4: id '2.5' is not 1 to 120"),
        (
            text(*pairs(first=0)[:-1], "120,1", header="id,label"),
            "line 2: id '0' is not 1 to 120; id 119 is",
        ),
        (changed(2, "2,10"), "line 3: label '10' is not 0 to 9"),
        (changed(2, "2,-1"), "line 3: label '-1' is not 0 to 9"),
        (changed(2, "2,7.5"), "line 3: label '7.5' is not a whole number from 0 to 9"),
        (changed(2, "2,"), "line 3: label '' is not 0 to 9"),
        (changed(2, "2"), "line 3: label '' is not 0 to 9"),
        (changed(2, "2,=1+1"), "label '=1+1' is not 0 to 9"),
        (changed(2, "2,\u0663"), "is not 0 to 9"),
        (changed(2, "2,nan"), "label 'nan' is not 0 to 9"),
        (changed(2, "2,1_0"), "label '1_0' is not 0 to 9"),
        (changed(2, "2," + "9" * 5000), "is not 0 to 9"),
        (changed(2, "2,3,4"), "line 3 has 3 cells, expected 2: 'ImageId,Label'"),
        (changed(2, "2;3"), "line 3: id '2;3' is not 1 to 120"),
        (changed(2, '2,"3'), "is not CSV: unexpected end of data"),
        (changed(2, '"2"3\t4', pairs("{id}\t{label}"), "Id\tLabel"), r"line 3 is not CSV: '\t'"),
        (changed(2, "2,\udce9").encode("utf-8", "surrogateescape"), "not a text file in UTF-8"),
        (text(*(f"{n},x" for n in range(1, N + 1)), header="Id,Label"), "; and 115 more"),
        (text("a,b", "", "1", header="sep=;\nImageId;Label"), "line 3: id 'a,b' is not 1 to 120"),
        ("\r\n".join(["", *pairs(labels=LABELS + 9), ""]), "line 2: label"),
        # which column is which
        (text(*pairs("{label},{label}")), "two columns without a header, and either or neither"),
        (text(*pairs("{id},{n}")), "begin the file with the line ImageId,Label"),
        (text(*pairs("{id},{label},1")), "3 columns without a header, expected 2"),
        (text(*pairs(), header="Label,ImageId"), "the first line is 'Label,ImageId', but the ids"),
        (text(*pairs(), header="epoch,loss"), "found 'epoch', 'loss'. Name them ImageId,Label"),
        (text(*pairs(), header="id,value"), "no column is named as labels: found 'id', 'value'"),
        (text(*ALONE, header="accuracy"), "no column is named as labels: found 'accuracy'"),
        (text(*pairs(), header="file,label"), "no column is named as ids: found 'file', 'label'"),
        (
            text(*pairs("{id},{label},1"), header="id,label,pred"),
            "2 columns can be the labels ('lab",
        ),
        (
            text(*pairs("{id},{n},{label}"), header="id,imageid,y"),
            "2 columns can be the ids ('id', ",
        ),
        (text(*(",".join("abcdefg") for _ in range(N))), "'a', 'b', 'c', 'd', 'e' and 2 more"),
        # tables
        (text(*table(PROBABILITIES[:, :9], ids=1)), "10 columns without a header"),
        (text(*table(PROBABILITIES[:-1])), "119 rows of predictions, expected 120"),
        (changed(3, ",".join(["nan"] * C), table(), None), "line 3: 'nan' is not a finite number"),
        (changed(1, ",".join(["nan"] * C), table(), None), "line 1: 'nan' is not a finite number"),
        (changed(3, ",".join(["1e999"] * C), table(), None), "'1e999' is not a finite number"),
        (changed(3, ",".join(["1"] * 9), table(), None), "line 3: '' is not a finite number"),
        (text(*table()[1:], header=",".join(CLASS_NAMES)), "119 rows of predictions, expected 120"),
        (text(*table(np.full((N, C), 0.1))), "no class is the largest"),
        (text(*table(np.eye(C)[LABELS] * 1e-30)), "differ too little to tell"),
        (
            text(*table(), header=",".join(f"p{n + 1}" for n in range(C))),
            "no column is named as lab",
        ),
        (text(*table(), header=",".join(["p0", "p1", *CLASS_NAMES[2:]])), "no column is named as"),
        (npy(np.column_stack([np.arange(N), PROBABILITIES[:, 1:]])), "10 columns without a header"),
        # lists
        (str(ALONE).replace("'", "").replace(ALONE[9], "", 1), "label '' is not 0 to 9"),
        ("[" + ", ".join([*ALONE[:-1], ""]) + "]", "119 labels in one line, expected 120"),
        # other files
        ("[7 2 1 ... 4 5 6]", "save all of it, with np.savetxt"),
        (archive("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet file|save it as CSV"),
        (archive("mimetype", "content.xml"), "a spreadsheet file|save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "a spreadsheet file|save it as CSV"),
        (archive("arr_0.npy"), "an .npz archive"),
        (archive("model/data.pkl"), "a PyTorch file, not predictions: name it .pth"),
        (archive("a.csv"), "a zip archive: hand in the CSV file itself"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"<html><table>", "an HTML or XML file"),
        (pickle.dumps(LABELS), "a pickle"),
        (bytes(range(256)) * 40, "not a text file in UTF-8"),
        (bytes(range(128)) * 40, "a binary file"),
        (b"ImageId,Label\n1,\x002\n", "a binary file"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not a text file in UTF-8"),
        # arrays
        (npy(LABELS[:-1]), "an array of the shape '(119,)', expected (120,) for classes"),
        (npy(np.zeros((N, 28, 28))), "an array of the shape '(120, 28, 28)'"),
        (npy(PROBABILITIES.T), "an array of the shape '(10, 120)'"),
        (npy(np.array(7)), "an array of the shape '()'"),
        (npy(np.zeros((0, 10))), "an array of the shape '(0, 10)'"),
        (npy(np.zeros((1,) * 40)), "an array of the shape"),
        (npy(LABELS + 0.5), "row 1: label"),
        (npy(LABELS + 100), "row 1: label"),
        (npy(LABELS > 4), "an array of True and False"),
        (npy(np.where(LABELS == 3, np.nan, LABELS)), "label 'nan' is not 0 to 9"),
        (npy(np.where(LOGITS > 4.9, np.inf, LOGITS)), "NaN or infinite (first: row"),
        (npy(LABELS.astype(str)), "an array of type '<U21'"),
        (npy(LABELS.astype(complex)), "an array of type '<c16'"),
        (npy(np.array([{"a": 1}]), allow_pickle=True), "an object array|allow_pickle"),
        (npy(np.zeros(N, [("id", "<i8"), ("label", "<i8")])), "a structured dtype"),
        (npy(LABELS)[:-8], "declares an array of the shape '(120,)', but has 952 bytes"),
        (npy(LABELS) * 2, "declares an array of the shape '(120,)', but has"),
        (b"\x93NUMPY", "a damaged .npy file"),
        (b"\x93NUMPY\x01\x00", "a damaged .npy file"),
        (npy(LABELS)[:50], "a damaged .npy file"),
    ],
)
def test_refused_files_say_what_to_do(content, parts):
    found = reason(content)
    assert all(part in found for part in parts.split("|")), found


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (text(*(f"{n},1" for n in range(1, 28_001)), header="ImageId,Label"), "Kaggle's test.csv"),
        (text(*(f"{n},1" for n in range(28_000))), "Kaggle's test.csv"),
        (text(*["7"] * 28_000, header="0"), "Kaggle's test.csv"),
        (npy(np.zeros(28_000, np.uint8)), "Kaggle's test.csv"),
        (npy(np.zeros((28_000, 10))), "Kaggle's test.csv"),
        (text(*["7"] * 42_000), "Kaggle's train.csv"),
        (text(*["7"] * 60_000), "MNIST's training images"),
    ],
)
def test_answers_to_other_images_are_told_so(content, part):
    found = reason(content, num_images=10_000)
    assert part in found
    assert "expected 10,000" in found
    assert "Predict the 10,000 MNIST test images (t10k-images) instead" in found
    assert "ImageId,Label with ids 1 to 10000" in found


@pytest.mark.parametrize("pixels", [784, 785])
def test_pixels_are_told_from_predictions(pixels):
    header = ",".join(f"pixel{n}" for n in range(pixels))
    content = text(*[",".join(["0"] * pixels)] * 8000, header=header)
    assert "Kaggle's train.csv" in reason(content)
    assert not looks_like_predictions(content.encode())


def test_28000_images_are_right_where_there_are_as_many():
    assert len(parse(text(*["7"] * 28_000), num_images=28_000).values) == 28_000


@pytest.mark.parametrize("name", ["é" * 500, "\u202e", "x" * 100_000, "\x85" + "̖̀" * 40_000])
def test_headers_are_shown_safely_and_in_time(name):
    assert "no column is named as labels" in reason(text(*pairs(), header=f"Id,{name}"))


def test_reasons_fit_even_if_every_line_has_a_long_one():
    line = "9" * 1000
    content = text(*(f"{line},{line}" for _ in range(N)), header="ImageId,Label")
    assert "and 355 more" in reason(content)


MILLION = 10**6
HOSTILE = {
    "one line": b"7" * 16 * MILLION,
    "one line of cells": b"7," * 4 * MILLION,
    "a row of a million columns": b"ImageId,Label\n" + b"7," * MILLION,
    "a header of a million columns": b"a," * MILLION + b"\n1,2\n",
    "wide header, many rows": b"a," * 9000 + b"\n" + b"1\n" * MILLION,
    "empty lines": b"\n" * 8 * MILLION,
    "empty rows": b",,\n" * MILLION,
    "spaces": b" " * 9 * MILLION + b"\n1,2",
    "rows": b"1\n" * 4 * MILLION,
    "bad rows": b"ImageId,Label\n" + b"x,y\n" * 99_000,
    "quotes": b'"' * 9 * MILLION,
    "an open quote": b'ImageId,Label\n1,"' + b"2,\n" * MILLION,
    "quoted line breaks": b'ImageId,Label\n1,"' + b"\n" * 100_000 + b'"\n',
    "NUL": bytes(9 * MILLION),
    "brackets": b"[" * 9 * MILLION,
    "a list": b"[" + b"7 " * 4 * MILLION + b"]",
    "256 MB": bytes(256 * 2**20),
    "half of UTF-16": b"\xff\xfe" + b"\xd8" * 9 * MILLION,
    "signs": b"ImageId,Label\n" + b"+-" * 4 * MILLION,
    "points": b"\n".join([b"1" * 131_000 + b"." + b"1" * 1000] * 60),
    "zip": b"PK\x03\x04" + b"xl" * 8 * MILLION,
    "npy": npy(np.zeros(16 * MILLION, np.uint8)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind):
    assert reason(HOSTILE[kind], num_images=10_000)
    looks_like_predictions(HOSTILE[kind])


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (0, 1" + b"0" * 400 + b"), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (" + b"1" * 1900 + b"), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1000000000000,), }",
        b"{'descr': ('<i8', (1000000000000,)), 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }",
        b"{'descr': __import__('os').getpid(), 'fortran_order': False, 'shape': (1,), }",
        b"(" * 60_000,
        b"{" + b" " * 1990,
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_of_arrays_cost_nothing(header, version):
    content = npy_with_header(header, b"12345678", version)
    assert "save" in reason(content, num_images=10_000)
    assert looks_like_predictions(content), "as somebody has to be told"


def test_no_pickle_is_opened(tmp_path):
    canary = tmp_path / "canary"
    payload = Payload(canary)
    array = np.empty(N, dtype=object)
    array[:] = [payload] * N
    stream = pickle.dumps(payload)
    field = np.empty(1, dtype=[("a", object)])
    field[0] = (payload,)
    header = b"{'descr': '%s', 'fortran_order': False, 'shape': (1,), }"
    for content in (
        npy(array, allow_pickle=True),
        npy(field, allow_pickle=True),
        npy_with_header(header % b"|O", stream),
        npy_with_header(header % b"O8", stream),
        npy_with_header(stream, stream),
        npy_with_header(b"", stream),
        stream,
    ):
        reason(content)
        looks_like_predictions(content)
    assert not canary.exists()
    pickle.loads(stream)
    assert canary.exists(), "the payload does work"


def test_10000_lines_are_read():
    labels = np.random.default_rng(0).integers(10, size=10_000)
    content = text(*(f"{n},{k}" for n, k in enumerate(labels, start=1)), header="ImageId,Label")
    assert parse(content, num_images=10_000).values.tolist() == labels.tolist()


def test_nothing_is_opened_or_imported_while_parsing():
    # As in the sandbox: whatever a codec or numpy wanted to import now would be missing.
    forms = [encoded(content) for content in (*AS_LABELS.values(), *AS_PROBABILITIES.values())]
    refused = [b"\xe9\n\xe9", b"PK\x03\x04", b'Id\t"a"b\t\n', b"Id,\x1b\n", b"\x93NUMPY"]
    script = f"""
import pickle, resource, sys
from common.grading.readers.predictions import looks_like_predictions, parse_predictions
from common.support.errors import SubmissionError
parse_predictions(b"ImageId,Label\\n1,1\\n", 1, {C})
forms = pickle.load(sys.stdin.buffer)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
before = set(sys.modules)
for content in forms:
    looks_like_predictions(content)
    try:
        parse_predictions(content, {N}, {C})
    except SubmissionError as error:
        print(error)
assert before == set(sys.modules), set(sys.modules) - before
"""
    completed = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(forms + refused),
        capture_output=True,
        cwd=REPO,
    )
    assert completed.returncode == 0, completed.stderr.decode()
    assert len(completed.stdout.splitlines()) == len(refused)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"ImageId,Label\n", True),
        (text(*pairs()[:5], header="Id;Category").replace(",", ";"), True),
        (changed(2, "2,x"), True),
        (text(*pairs("{id},{label},0.9"), header="Id,Label,Confidence"), True),
        (text(*ALONE[:50], header="prediction"), True),
        (",".join(["id", *CLASS_NAMES]) + "\n", True),
        (text(*["7"] * 28_000), True),
        (" ".join(["7"] * 28_000), True),
        (npy(np.zeros(9_999, np.uint8)), True),
        (npy(np.zeros((N, C))), True),
        (npy(np.zeros(N))[:-1], True),
        (changed(2, '2,"3'), True),
        (changed(2, "2,\udce9").encode("utf-8", "surrogateescape"), True),
        (text(*(f"{n},x" for n in range(N)), header="ImageId,Label"), True),
        (b"", False),
        (b"\n\n", False),
        ("epoch,loss,acc\n1,0.3,0.9\n", False),
        ("epoch,accuracy,loss,val_accuracy\n0,0.9,0.2,0.9\n", False),
        (",precision,recall,f1-score,support\n0,0.9,0.9,0.9,980\n", False),
        ("class,precision,recall\n0,0.9,0.9\n", False),
        ("id,class\n0,zero\n1,one\n", False),
        (text(*(f"{n},{1 / (n + 1)}" for n in range(N))), False),
        (text(*(f"{1 / (n + 1)}" for n in range(N))), False),
        ("1,7\n2,2\n", False),
        ("Epoch 1/5 - loss: 0.31\n" * 200, False),
        ("Report\n\nWe reached 98 %, and label smoothing helped.\n", False),
        ("torch==2.3\nnumpy\n", False),
        ("# MNIST\n\nRun `python train.py`.\n", False),
        (npy(np.random.default_rng(0).random(5000)), False),
        (npy(np.zeros((N, 28, 28), np.uint8)), False),
        (npy(np.zeros((N, 784), np.uint8)), False),
        (npy(np.zeros(5)), False),
        (archive("xl/workbook.xml"), False),
        (bytes(range(256)), False),
        (b"\x89PNG\r\n\x1a\n", False),
        ('{"accuracy": 0.98}', False),
    ],
)
def test_logs_and_reports_do_not_look_like_predictions(content, expected):
    assert looks_like_predictions(encoded(content)) is expected
