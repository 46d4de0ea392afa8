#!/usr/bin/env bash
# statsmodels 0.15.0, proportion_confint(count, nobs, method="jeffreys").
#
# Guess:    an interval for a proportion contains the proportion that was observed.
# Seen:     for 10,000 of 10,000 the upper end is 0.99999995, and for 0 of 10,000 the lower end is
#           0.00000005, so 100 % and 0 % lie outside. "beta", "wilson" and "agresti_coull" reach them.
# Why:      Brown, Cai and DasGupta (2001, Statistical Science 16(2)) set these ends
#           to 1 and 0; here they are the plain quantiles of the posterior. A check such as
#           low <= accuracy <= high fails for exactly the perfect and the useless class or network.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
from statsmodels.stats.proportion import proportion_confint

for method in ("wilson", "agresti_coull", "beta", "jeffreys"):
    _, high = proportion_confint(10_000, 10_000, method=method)
    low, _ = proportion_confint(0, 10_000, method=method)
    print(f"{method:14} all right: upper end {high:.10f}   none right: lower end {low:.10f}")
    assert (high < 1, low > 0) == ((True, True) if method == "jeffreys" else (False, False)), method
PYTHON
