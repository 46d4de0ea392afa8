"""What the scripts share. Each module can be read on its own; none parses a command line.

The layers, from the ground up; a module imports only what stands before it here:

- ``escaping``, ``signals``, ``errors``, ``files``, ``arguments``, ``locks``, ``pixels``,
  ``history``: strangers' text made safe to show, Ctrl-C, exit statuses, files that are whole or not
  there, command lines, one process a folder, images in JSON, published results.
- ``augment``, ``idx``, ``image_sets``, ``image_files``, ``fetch``, ``reference``, ``data``: images
  distorted at random; MNIST's format, MNIST and its family, their files from wherever they can be
  had, as arrays, as tensors.
- ``ranks``: several processes, on one machine or many, as torchrun starts them.
- ``environment``, ``normalization``, ``transforms``, ``models``, ``averaging``, ``metrics``,
  ``confidence``: seeds and devices, pixels to inputs, the two networks, a network's average, the
  statistics.
- ``state_dicts``, ``checkpoints``: from a file's tensors to a network, without trust;
  what a training needs to go on.
- ``loops``, ``calibration``, ``recipes``, ``runs``: training, measuring, a run's files.
- ``submissions``, ``predictions``, ``onnx_models``, ``answers``, ``readers``: what a stranger's
  file can be, and what it answers.
- ``confinement``, ``bubblewrap``, ``warm_server``, ``boundary``: a process for each of them.
- ``grading``, ``own_runs``, ``evaluations``, ``parts``: answers become rows, rows an evaluation,
  the parts of several processes one.
- ``quantization``, ``playground``: the better model made small, and digits to try it on.
- ``terminal``, ``github``, ``rosters``, ``platforms``, ``gradebooks``: an evaluation as text, as an
  annotated job, as grades.
- ``svg``, ``plots``, ``dot_plots``, ``pages``, ``comparison``, ``study``, ``playground_page``: rows
  become figures, figures a page. None of them needs torch.
"""
