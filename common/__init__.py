"""What the scripts share. Nothing in here parses a command line.

The recipe, to read first:

- ``models``: the two networks, their initialisation, the registry of classes;
- ``transforms``: from pixels to inputs, and the distortions;
- ``loops``: batches, one epoch, evaluation, prediction;
- ``metrics``: accuracy, intervals, tests, calibration, temperature; no torch;
- ``checkpoints``: one's own checkpoints, and the state from which a training resumes;
- ``runs``: the folder of a training run.

The rooms behind it:

- ``data``: the catalog of data sets, their files, their images as arrays; no torch;
- ``grading``: from submissions to an evaluation, each file in a process of its own;
- ``reporting``: from evaluations to text, figures and pages; no torch;
- ``support``: files, errors, text, command lines, schemas, environment, processor, torchrun.

A module imports only what is below it in this picture; ``tests/test_layers.py`` holds the rule.

    scripts, bench
    runs              grading            reporting
    checkpoints
    loops
    transforms
    data
    models   metrics   support
"""
