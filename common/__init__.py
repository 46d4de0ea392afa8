"""What the scripts share. Each module can be read on its own; none parses a command line.

The layers, from the ground up; a module imports only from the rows above its own:

- ``errors``, ``files``, ``history``: exit statuses, whole-or-nothing files, published results.
- ``idx``, ``fetch``, ``data``: MNIST from wherever it can be had, as two tensors in memory.
- ``environment``, ``transforms``, ``models``, ``metrics``: seeds and devices, pixels to inputs,
  the two networks, the statistics.
- ``loops``, ``calibration``, ``runs``, ``checkpoints``: training, measuring, saving, loading.
- ``grading``, ``terminal``: a path becomes a row; rows become a table.
- ``plots``, ``pages``: rows become figures; figures become a page. Neither needs torch.
"""
