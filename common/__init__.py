"""What the recipes share. Nothing in here parses a command line.

To read first:

- ``models``: the two networks, their initialisation, the registry of classes;
- ``transforms``: from pixels or a photo to inputs, and the distortions;
- ``loops``: batches, one epoch, evaluation, prediction;
- ``metrics``: accuracy, intervals, tests, calibration, temperature; no torch;
- ``checkpoints``: one's own checkpoints, and the state from which a training resumes;
- ``runs``: the folder of a training run.

The rooms behind them:

- ``data``: the catalog of data sets, their files, their images as arrays, photos; no torch;
- ``support``: files, errors, text, command lines, environment, processor, torchrun.

A module imports only what is below it in this picture; ``tests/test_layers.py`` holds the rule.

    scripts, bench
    own_runs          grading           reporting
            evaluations (no torch)
    runs
    checkpoints
    loops
    transforms
    data
    models   metrics   support
"""
