"""Prediction files with several meanings or none: each hears what to do."""

import pickle

import numpy as np
import pytest

from grading.readers.predictions import looks_like_predictions
from tests.grading.readers.tables import (
    ALONE,
    CLASS_NAMES,
    LABELS,
    LOGITS,
    PROBABILITIES,
    C,
    N,
    archive,
    changed,
    npy,
    pairs,
    parse,
    reason,
    table,
    text,
)

OTHER = (LABELS + 1) % C


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
        (text(*pairs("{id},{label},1")), "3 columns without a header, expected ids"),
        (text(*pairs(), header="Label,ImageId"), "the first line is 'Label,ImageId', but the ids"),
        (
            text(*pairs("{id},{label},x"), header="id,value,note").replace(",1,", ",a,"),
            "no column is named as labels: found 'value', 'note'",
        ),
        (
            text(*pairs("img{id}.png,{label}"), header="file,label"),
            "no column has the ids 1 to 120: found 'file', 'label'",
        ),
        (
            text(*pairs("{id},{label},1"), header="id,prediction,pred"),
            "2 columns can be the predictions ('prediction', 'pred')",
        ),
        (
            text(*pairs("{id},{n},{label}"), header="id,imageid,y"),
            "2 columns can be the ids ('id', ",
        ),
        (text(*(",".join("abcdefg") for _ in range(N))), "'a', 'b', 'c', 'd', 'e' and 2 more"),
        # what can be the truth beside a value for each class, whatever those are called
        *(
            (
                text(
                    *(
                        f"{n},{k},{row}"
                        for n, (k, row) in enumerate(zip(OTHER, table(), strict=True))
                    ),
                    header=f"id,{name}," + ",".join(names),
                ),
                f"'{name}' is not the class of the largest value in '{names[0]}' and so on",
            )
            for name in ("label", "target", "x")
            for names in (
                [f"resnet18_{n}" for n in range(C)],
                [f"class_{n}" for n in range(1, C + 1)],
                ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", *"fghij"],
            )
        ),
        *(
            (
                text(
                    *(f'{n},{k},"{c}"' for n, (k, c) in enumerate(zip(OTHER, cells, strict=True))),
                    header=f"id,label,{name}",
                ),
                f"'label' can be the true labels, beside the predictions of '{name}'",
            )
            for name, cells in (
                ("cnn", ["", *ALONE[1:]]),
                ("cnn", ["-1", *ALONE[1:]]),
                ("softmax", PROBABILITIES.tolist()),
                ("probs", PROBABILITIES.tolist()),
            )
        ),
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
            text(*table(), header=",".join(f"class{n + 1}" for n in range(C))),
            "no column is named as lab",
        ),
        (text(*table(), header=",".join(["p0", "p1", *CLASS_NAMES[2:]])), "no column is named as"),
        (npy(np.column_stack([np.arange(N), PROBABILITIES[:, 1:]])), "10 columns without a header"),
        # lists
        (str(ALONE).replace("'", "").replace(ALONE[9], "", 1), "label '' is not 0 to 9"),
        ("[" + ", ".join([*ALONE[:-1], ""]) + "]", "119 labels in one line, expected 120"),
        # other files
        ("[7 2 1 ... 4 5 6]", "save all of them, with np.savetxt"),
        (archive("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet file|save it as CSV"),
        (archive("mimetype", "content.xml"), "a spreadsheet file|save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "a spreadsheet file|save it as CSV"),
        (archive("arr_0.npy"), "'arr_0.npy' in the .npz file is no array: save the one array"),
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
    content = text(*pairs("{id},{label}.5,x"), header=f"Id,{name},b")
    assert "no column is named as labels" in reason(content)


def test_reasons_fit_even_if_every_line_has_a_long_one():
    line = "9" * 1000
    content = text(*(f"{line},{line}" for _ in range(N)), header="ImageId,Label")
    assert "and 355 more" in reason(content)
