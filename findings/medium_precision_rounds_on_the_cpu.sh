#!/usr/bin/env bash
# torch 2.14.1, torch.set_float32_matmul_precision("medium") on an Intel Xeon with AMX.
#
# Guess:    products on the CPU stay those of float32: torch's documentation of the setting says that
#           it "currently only affects one native device type: CUDA", and many training scripts
#           set it for the GPU.
# Seen:     a product of 64 x 784 and 784 x 512 is wrong by up to 0.29 in place of 0.00004, as if
#           its factors were bfloat16. torch.backends.mkldnn.matmul.fp32_precision reads "bf16".
#           Held to the instructions before AMX, the same processor does not round.
# Why:      the setting also allows oneDNN bfloat16, and AMX has instructions for that. So one script
#           with one seed has other weights on a Xeon of 2023 than on one of 2021, without a word, and
#           a record of its versions and of the processor's kind of AVX does not tell.
#
# The processor has to have AMX (amx_bf16 in /proc/cpuinfo): Intel's Xeons from Sapphire Rapids on.
set -euo pipefail
grep -qw amx_bf16 /proc/cpuinfo || { echo "This processor has no AMX: nothing was tried." >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy==2.4.6
cat > "$folder/products.py" <<'PYTHON'
import sys

import torch

generator = torch.Generator().manual_seed(0)
x, weight = (torch.randn(size, generator=generator) for size in ((64, 784), (784, 512)))
exact = x.double() @ weight.double()
errors = {}
for precision in ("highest", "medium"):
    torch.set_float32_matmul_precision(precision)
    errors[precision] = (x @ weight - exact).abs().max().item()
    setting = torch.backends.mkldnn.matmul.fp32_precision
    print(f"{precision:8} wrong by at most {errors[precision]:.5f}, oneDNN may compute by {setting}")
rounds = errors["medium"] > 100 * errors["highest"]
assert errors["highest"] < 0.001
sys.exit(rounds != (sys.argv[1] == "rounds"))
PYTHON
echo "With AMX:"
"$folder/venv/bin/python" "$folder/products.py" rounds
echo "Held to what is before AMX:"
ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 "$folder/venv/bin/python" "$folder/products.py" "does not round"
