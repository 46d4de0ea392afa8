"""What is no table of predictions for these images, and what to hand in instead."""

import re

from common.support.errors import SubmissionError

FIRST_LINE = re.compile(rb"[^\r\n]*[\r\n]+")

_SPREADSHEET = "a spreadsheet file, not text: save it as CSV and hand that in"
_FOREIGN = {
    b"\xd0\xcf\x11\xe0": _SPREADSHEET,  # .xls
    b"%PDF": "a PDF, not text: hand in the table as CSV",
    b"{\\rtf": "a rich-text file: save it as plain text (.txt or .csv)",
    b"\x1f\x8b": "a gzip archive: hand in the CSV file itself",
    b"\x80": "a pickle, or another binary file: save the predictions as CSV",
    b"<": "an HTML or XML file: save it as CSV and hand that in",
}
# What is found in one kind of zip archive alone.
_ZIPPED = {
    b"xl/": _SPREADSHEET,  # .xlsx
    b"opendocument.spreadsheet": _SPREADSHEET,
    b"Index/Document.iwa": _SPREADSHEET,  # .numbers
    b"/data.pkl": "a PyTorch file, not predictions: name it .pth",
}
# Rows of predictions that answer other images than the test images.
OTHER_IMAGES = {
    28_000: "Kaggle's test.csv",
    42_000: "Kaggle's train.csv",
    60_000: "MNIST's training images",
}
_KAGGLE_PIXELS = (
    "the rows have the pixels of images, as in Kaggle's train.csv and test.csv: hand in "
    "predictions, in rows ImageId,Label, and not the images"
)


def refuse_other_images(rows: int, images: int) -> None:
    """Raise SubmissionError if there are as many rows as another well-known set has images."""
    if rows in OTHER_IMAGES and rows != images:
        wanted = "MNIST test images (t10k-images)" if images == 10_000 else "test images"
        raise SubmissionError(
            f"{rows:,} rows of predictions, expected {images:,}: these answer "
            f"{OTHER_IMAGES[rows]}. Predict the {images:,} {wanted} instead, in rows "
            f"ImageId,Label with ids 1 to {images}"
        )


def refuse_foreign(content: bytes) -> None:
    """Raise SubmissionError for a file of another kind, by how it begins or what is in it."""
    for start, reason in _FOREIGN.items():
        if content.startswith(start):
            raise SubmissionError(reason)
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        reasons = [reason for member, reason in _ZIPPED.items() if member in content]
        raise SubmissionError((*reasons, "a zip archive: hand in the CSV file itself")[0])
    line = FIRST_LINE.match(content[: 2**16])
    if line and len(re.split(rb"[,;\t]", line[0])) in (784, 785):
        raise SubmissionError(_KAGGLE_PIXELS)
