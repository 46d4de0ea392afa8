"""Files of predictions, made for the tests."""

import io
import os
import zipfile

import numpy as np
import pytest

from common.support.errors import SubmissionError
from grading.readers.predictions import parse_predictions

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


def changed(row, line, lines=None, header="ImageId,Label"):
    lines = pairs() if lines is None else lines
    return text(*lines[: row - 1], line, *lines[row:], header=header)
