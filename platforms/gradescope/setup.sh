#!/usr/bin/env bash
# Runs once, as root, when Gradescope builds the image. Installs what grading needs into an
# environment of its own: Gradescope's harness uses the system's Python, which stays as it is.
set -euo pipefail
cd "${AUTOGRADER_ROOT:-/autograder}/source"

newest_python() {
    for name in python3.13 python3.12 python3.11; do
        # Without its package "venv", a Python of Debian or Ubuntu cannot make an environment.
        if command -v "$name" >/dev/null && "$name" -c "import ensurepip" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

python=$(newest_python)
if [ -z "$python" ]; then
    apt-get update -qq
    for version in 3.13 3.12 3.11; do
        apt-get install -y -qq "python$version" "python$version-venv" && break
    done
    python=$(newest_python)
fi
[ -n "$python" ] || { echo "No Python from 3.11 to 3.13: choose a newer base image" >&2; exit 1; }

"$python" -m venv .venv
# The files of a lock or none: all students are graded by the same versions.
install() { .venv/bin/python -m pip install --quiet --no-cache-dir --require-hashes "$@"; }
# PyTorch's own index has it without the libraries for GPUs, which take most of the space. Where it
# cannot be reached, the second line takes the larger package.
install --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu -r platforms/requirements.lock ||
    install -r requirements.lock -r requirements-grading.lock
.venv/bin/python -m compileall -q common platforms
# Submissions are read by a user without rights, who has no business here.
chmod -R go= .
.venv/bin/python -m platforms.gradescope.grade --check
