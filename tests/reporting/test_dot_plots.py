"""Figures of dots with their intervals."""

import re

from reporting.figures import svg
from reporting.figures.dot_plots import accuracies


def numbers(path):
    return [float(number) for number in re.findall(r"-?[\d.]+", path)]


def test_threshold_does_not_cross_a_label():
    near = {"accuracy": 90.3, "accuracy_ci95": [89.7, 90.9]}
    far = {"accuracy": 97.7, "accuracy_ci95": [97.4, 98.0]}
    figure = accuracies({"near": near, "far": far}, threshold=90.0)
    line = re.search(rf'<path d="([^"]*)"[^>]*stroke="{svg.ERROR}"', figure)
    before_label = figure[line.end() : figure.index(">90.30 %<")]
    mask = re.search(rf'<path d="([^"]*)"[^>]*fill="{svg.PAGE}"', before_label)
    assert min(numbers(mask[1])[::2]) < numbers(line[1])[0] < max(numbers(mask[1])[::2])
