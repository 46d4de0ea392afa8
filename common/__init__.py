"""What the scripts share. Each module can be read on its own; none parses a command line.

The layers, from the ground up; a module imports only what stands before it here:

- ``errors``, ``arguments``, ``files``, ``pixels``, ``history``: exit statuses, help texts,
  whole-or-nothing files, images in JSON, published results.
- ``idx``, ``fetch``, ``data``: MNIST from wherever it can be had, as two tensors in memory.
- ``environment``, ``normalization``, ``transforms``, ``models``, ``metrics``: seeds and devices,
  pixels to inputs, the two networks, the statistics.
- ``loops``, ``calibration``, ``checkpoints``, ``runs``: training, measuring, saving, loading.
- ``grading``, ``terminal``: a path becomes a row; rows become a table.
- ``svg``, ``plots``, ``pages``: rows become figures, figures a page. None of them needs torch.
"""
