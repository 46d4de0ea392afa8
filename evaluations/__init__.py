"""The row of an evaluation, and the documents that hold it; no torch.

What grading, one's own runs and the report share:

- ``rows``: from a network's answers to the row of an evaluation;
- ``schemas``, ``validation``: what evaluation.json and metrics.json hold, and whether they do;
- ``disclosure``: what students are shown of a row on a private test set;
- ``words``, ``names``: a row's figures in words; names of students as those of folders.
"""
