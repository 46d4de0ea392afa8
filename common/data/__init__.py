"""Data sets: the catalog, the files and their formats, the images as arrays. No torch."""
