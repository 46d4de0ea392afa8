"""The cells in docs/notebooks.md, run through a fresh kernel from the training to the report."""

import re
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import REPO, read

# Starting a kernel takes longer than most tests.
pytestmark = pytest.mark.long

CELLS = re.findall(
    r"^```python\n(.*?)^```", (REPO / "docs/notebooks.md").read_text(encoding="utf-8"), re.M | re.S
)


@pytest.fixture
def place(tmp_path, data_dir):
    """A folder with the scripts and the data, and without the runs."""
    for name in ("common", "evaluations", "own_runs", "grading", "reporting", "templates", "bench"):
        shutil.copytree(REPO / name, tmp_path / name)
    for script in REPO.glob("*.py"):
        shutil.copy(script, tmp_path)
    shutil.copytree(data_dir / "MNIST", tmp_path / "data/MNIST")
    return tmp_path


def test_notebook_runs_from_a_fresh_kernel_to_the_report(place):
    assert len(CELLS) >= 5
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(place)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    texts = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    assert "Both models reached" in texts[1] or "2 of 2 reached" in texts[1]
    assert "Traceback" not in "".join(texts)
    assert (place / "runs/report.html").stat().st_size > 100_000
    (shown,) = notebook.cells[-1].outputs
    assert set(eval(shown["data"]["text/plain"])) == {"base", "improved"}
    metrics = read(place / "runs/base/metrics.json")
    command = ["train_base.py", "--val-size", "57000", "--epochs", "2"]
    assert metrics["environment"]["command"] == command


def test_error_of_a_user_is_one_line_at_the_end(place):
    source = "import train_base\ntrain_base.main(['--epochs', '0'])"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    resources = {"metadata": {"path": str(place)}}
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources=resources, allow_errors=True
    )
    client.execute()
    (error,) = [output for output in notebook.cells[0].outputs if output.output_type == "error"]
    assert error.ename == "UserError"
    assert "--epochs" in error.evalue
