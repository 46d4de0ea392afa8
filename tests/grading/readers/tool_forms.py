"""What tools write and print, each with one meaning: the labels, or the probabilities."""

import json

import numpy as np

from tests.grading.readers.tables import (
    ALONE,
    CLASS_NAMES,
    LABELS,
    ORDER,
    PROBABILITIES,
    C,
    N,
    pairs,
    table,
    text,
)

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

# In another order than 0 to 9: that of appearance, and 0 at the end.
APPEARANCE = [5, 0, 4, 1, 9, 2, 3, 6, 7, 8]
LAST_ZERO = [*range(1, C), 0]

OTHER = (LABELS + 1) % C
TRUTH = {"label": OTHER, "target": OTHER, "y": OTHER}
BESIDE = [f"{n},{t},{k}" for n, (t, k) in enumerate(zip(OTHER, LABELS, strict=True), start=1)]
IN_ORDER = [f"{t},{k}" for t, k in zip(OTHER, LABELS, strict=True)]
WITH_ALL = [f"{k},{row}" for k, row in zip(LABELS, table(), strict=True)]


def frame(left, middle, right, bar, dash, ends=("", "")):
    lines = [f"{ends[0]} {n:>7} {bar} {k:>5} {ends[1]}" for n, k in enumerate(LABELS, start=1)]
    rule = f"{left}{dash * 9}{middle}{dash * 7}{right}"
    return [rule, f"{ends[0]} ImageId {bar} Label {ends[1]}", rule, *lines, rule]


def lines_of(count, cells=ALONE):
    return [" ".join(cells[n : n + count]) for n in range(0, N, count)]


LABELS_OF_TOOLS = {
    # under any name
    **{f"only {name}": text(*ALONE, header=name) for name in ("x", "V1", "Var1", "p", "p.knn.")},
    **{f"only {name}": text(*ALONE, header=name) for name in ("column_0", "accuracy", "y_test")},
    "duckdb's aggregate": text(*ALONE, header='"max(""Label"")"'),
    "V1,p": text(*pairs(), header="V1,p"),
    "beside columns of one's own": text(
        *(f"{n},{row}" for n, row in enumerate(WITH_ALL)), header="id,class,a,b,c,d,e,f,g,h,i,j"
    ),
    "names of ids unknown": text(*pairs(order=ORDER), header="nummer,ziffer"),
    "a name and a confidence": text(*pairs("{id},{label},0.5"), header="id,cnn,conf"),
    # beside the truth
    **{
        f"{truth},{predicted}": text(*IN_ORDER, header=f"{truth},{predicted}")
        for truth, predicted in (
            ("actual", "predicted"),
            ("y_true", "y_pred"),
            ("y_test", "y_hat"),
            ("truth", ".pred_class"),
            ("Truth", "estimate"),
            ("test", "pred"),
            ("true_label", "cnn"),
            ("ground_truth", "response"),
            ("obs", "pred"),
            ("label", "prediction"),
            ("reference", "fitted"),
            ("Actual Class", "Predicted Class"),
            ("label_true", "label_pred"),
            ("digit", "prediction(digit)"),
        )
    },
    "ids, truth, predicted": text(*BESIDE, header="ImageId,actual,predicted"),
    "truth last": text(*pairs("{id},{label},{n}"), header="id,rf,expected"),
    "label, pred_cnn": text(*BESIDE, header="ImageId,label,pred_cnn"),
    "H2O": text(*WITH_ALL, header="predict," + ",".join(f"p{n}" for n in range(C))),
    "tidymodels": text(*WITH_ALL, header=".pred_class," + ",".join(f".pred_{n}" for n in range(C))),
    "RapidMiner": text(
        *WITH_ALL, header="prediction(label)," + ",".join(f"confidence({n})" for n in range(C))
    ),
    "KNIME": text(
        *(f"{t},{row}" for t, row in zip(OTHER, WITH_ALL, strict=True)),
        header="label,Prediction (label)," + ",".join(f'"P (label={n})"' for n in range(C)),
    ),
    "mlr3": text(*BESIDE, header="row_ids,truth,response"),
    # ids
    "openml": text(*pairs(first=60_000), header=",0"),
    "openml, shuffled": text(*pairs(first=60_001, order=ORDER), header=",class"),
    "ids from 5, no header": text(*pairs(first=5, order=ORDER)),
    # R
    "write.table": text(*pairs('"{id}" {id} {label}'), header='"ImageId" "Label"'),
    "write.table, no quotes": text(*pairs("{id} {id} {label}"), header="ImageId Label"),
    "write.table, tabs": text(*pairs('"{id}"\t{id}\t{label}'), header='"ImageId"\t"Label"'),
    "write.table, commas": text(*pairs('"{id}",{id},{label}'), header='"ImageId","Label"'),
    "write.table, a factor": text(*pairs('"{id}" "{label}"'), header='"x"'),
    "write.table, two words": text(*pairs('"{id}" {label}'), header='"the label"'),
    "write.csv2": text(*pairs('"{id}";{label}'), header='"";"x"'),
    "print of a data frame": text(*pairs("{id:<6} {id:>7} {label:>5}"), header="  ImageId Label"),
    "print of a vector": text(
        *(f"{f'[{40 * n + 1}]':>6} {line}" for n, line in enumerate(lines_of(40)))
    ),
    "print of a factor": text(
        *(f" [{40 * n + 1}] {line}" for n, line in enumerate(lines_of(40))),
        "Levels: 0 1 2 3 4 5 6 7 8 9",
    ),
    **{f"write, {n} a line": text(*lines_of(n)) for n in (5, 7, 10, 20)},
    "fifty a line, commas": text(*(line.replace(" ", ",") for line in lines_of(50))),
    # Octave, MATLAB
    "Octave's save": "# Created by Octave 8.4.0\n# name: p\n# type: matrix\n# rows: 120\n"
    "# columns: 1\n" + text(*(f" {k}" for k in ALONE), "", ""),
    "Octave's save of two columns": "# Created by Octave\n# name: p\n# columns: 2\n"
    + text(*pairs(" {id} {label}")),
    "percent": text(*pairs("{id} {label}"), header="% ids and labels, of the best of 5"),
    "numpy's header": text(*ALONE, header="# predicted by cnn.py\n# label"),
    "a comment above a header": text(*pairs(), header="# run 7, Adam\nImageId,Label"),
    # spreadsheets
    "decimal commas in quotes": text(*pairs('"{id},0","{label},0"'), header="Id,Label"),
    # printed
    "np.int64": repr([np.int64(k) for k in LABELS]),
    "numpy.int64": f"[{', '.join(f'numpy.int64({k})' for k in LABELS)}]",
    "tensor a line": text(*(f"tensor({k})" for k in LABELS)),
    "tensor on a GPU a line": text(*(f"tensor({k}, device='cuda:0')" for k in LABELS)),
    "tensors": str([f"tensor({k})" for k in LABELS]).replace("'", ""),
    "tensors with a type": f"[{', '.join(f'tensor({k}, dtype=torch.int32)' for k in LABELS)}]",
    "array": f"array({LABELS.tolist()})",
    "array with a type": f"array({LABELS.tolist()}, dtype=uint8)",
    "array over lines": "array([" + ",\n       ".join(ALONE) + "])\n",
    "tensor": f"tensor({LABELS.tolist()}, device='cuda:0')",
    "named": f"predictions = {LABELS.tolist()}",
    "batches": str([LABELS[:100].tolist(), LABELS[100:].tolist()]),
    "batches of arrays": f"[array({LABELS[:100].tolist()}), array({LABELS[100:].tolist()})]",
    "lists of one": str(LABELS[:, None].tolist()),
    "a column of numpy's": str(LABELS[:, None]).replace("...", ""),
    "a list a line": text(*(f"[{k}]" for k in LABELS)),
    "c()": f"c({', '.join(f'{k}' for k in LABELS)})",
    "np.str_": repr([np.str_(k) for k in ALONE]),
    "printed records": str([{"id": n, "label": k} for n, k in enumerate(LABELS.tolist())]),
    "a dictionary": str(dict(enumerate(LABELS.tolist()))),
    "a dictionary of numpy's": str({n: np.int64(k) for n, k in enumerate(LABELS)}),
    "a dictionary of a list": str({"predictions": LABELS.tolist()}),
    "a series of pandas": text(
        *pairs("{n:<8}{label}"), "Name: label, Length: 120, dtype: int64", newline="\n"
    ),
    # JSON
    "JSON list": json.dumps(LABELS.tolist(), indent=1),
    "JSON of texts": json.dumps(ALONE),
    "JSON of a list": json.dumps({"model": "cnn", "predictions": LABELS.tolist(), "acc": 0.9}),
    "JSON columns": json.dumps({"ImageId": list(range(1, N + 1)), "Label": LABELS.tolist()}),
    "JSON truth": json.dumps({"y_true": OTHER.tolist(), "y_pred": LABELS.tolist()}),
    "JSON by ids": json.dumps({str(n + 1): int(LABELS[n]) for n in ORDER}),
    "JSON within": json.dumps({"results": {"predictions": LABELS.tolist()}, "seed": 1}),
    "JSON records": json.dumps([{"id": int(n), "label": int(LABELS[n])} for n in ORDER]),
    "JSON records within": json.dumps({"rows": [{"id": n, "y": k} for n, k in enumerate(ALONE)]}),
    "JSON lines": text(*(json.dumps({"id": n, "label": int(k)}) for n, k in enumerate(LABELS))),
    "JSON of pandas": json.dumps({"Label": {str(n): int(k) for n, k in enumerate(LABELS)}}),
    "JSON of a series": json.dumps({str(n): int(k) for n, k in enumerate(LABELS)}),
    "JSON by index": json.dumps({str(n): {"Label": int(k)} for n, k in enumerate(LABELS)}),
    "JSON split": json.dumps(
        {"columns": ["Label"], "index": list(range(N)), "data": LABELS[:, None].tolist()}
    ),
    "JSON of batches": json.dumps([LABELS[:100].tolist(), LABELS[100:].tolist()]),
    # reports
    "psql": text(*frame("-", "+", "-", "|", "-")[1:-1], f"({N} rows)"),
    "MySQL": text(*frame("+", "+", "+", "|", "-", "||"), f"{N} rows in set (0.01 sec)"),
    "DuckDB": text(*frame("┌", "┬", "┐", "│", "─", "││")),
    "sqlite's columns": text("-------  -----", *pairs("{id:<7}  {label}"), header="ImageId  Label"),
    "Markdown": text(
        "|---:|----------:|--------:|",
        *pairs("| {n:>2} | {id:>9} | {label:>7} |"),
        header="|    |   ImageId |   Label |",
    ),
    "types below names": text(
        "│ int64   │ int32 │", *pairs("│ {id} │ {label} │"), header="┌──┬──┐\n│ ImageId │ Label │"
    ),
    "Weka's CSV": text(
        *pairs("{id},{label}:{label},{label}:{label},+,0.97"),
        header="inst#,actual,predicted,error,prediction",
    ),
    "Weka's numbers": text(*pairs("{n}:{label}"), header="class"),
    "seven": text(*pairs("{id},{label} - word"), header="ImageId,Label"),
    "seven, alone": text(*(f"{k} - word" for k in LABELS)),
    "words": text(*(f"{n},{WORDS[k].title()}" for n, k in enumerate(LABELS)), header="id,label"),
    "words alone": json.dumps([WORDS[k] for k in LABELS]),
    "lists of one as cells": text(*pairs("{n},[{label}]"), header="id,label"),
    "tensors of one as cells": text(*pairs("{n},tensor([{label}])"), header="id,label"),
    "Orange": text(
        "0 1 2 3 4 5 6 7 8 9\tcontinuous\t0 1 2 3 4 5 6 7 8 9",
        "class\tmeta\tmeta",
        *(row.replace(",", "\t") for row in (f"{t},{n},{k}" for n, t, k in
          zip(range(1, N + 1), OTHER, LABELS, strict=True))),
        header="label\tImageId\tNeural Network",
    ),
    "Orange's marks": text(*BESIDE, header="mC#ImageId,cD#label,mD#Neural Network"),
    "a tibble": text(
        "  <int> <int>", *pairs("{id:>5} {label:>5}"), header="# A tibble: 120 × 2\n     id label"
    ),
}  # fmt: skip

PROBABILITIES_OF_TOOLS = {
    "pandas, in order of appearance": text(
        *table(PROBABILITIES[:, APPEARANCE]), header=",".join(map(str, APPEARANCE))
    ),
    "pandas, zero at the end": text(
        *table(PROBABILITIES[:, LAST_ZERO], ids=0), header="," + ",".join(map(str, LAST_ZERO))
    ),
    "classes as floats": text(
        *table(PROBABILITIES[:, LAST_ZERO]), header=",".join(f"{n}.0" for n in LAST_ZERO)
    ),
    "e1071": text(
        *table(PROBABILITIES[:, APPEARANCE], ids=1, delimiter=" "),
        header=" ".join(f'"{n}"' for n in APPEARANCE),
    ),
    "words": text(
        *table(PROBABILITIES[:, ::-1]), header=",".join(f"{n} - word" for n in CLASS_NAMES[::-1])
    ),
    "LIBSVM": text(
        *(row.replace(",", " ") for row in WITH_ALL), header="labels " + " ".join(CLASS_NAMES)
    ),
    "words as names": text(*table(PROBABILITIES[:, ::-1]), header=",".join(WORDS[::-1])),
    "V1 to V10": text(*table(), header=",".join(f"V{n + 1}" for n in range(C))),
    "V1 to V11": text(*table(ids=1), header=",".join(f"V{n + 1}" for n in range(C + 1))),
    "column_0": text(*table(), header=",".join(f"column_{n}" for n in range(C))),
    "write.table": text(
        *table(ids=1, delimiter=" "), header=" ".join(f'"V{n + 1}"' for n in range(C))
    ),
    "openml": text(*table(ids=60_000), header="," + ",".join(CLASS_NAMES)),
    "LibreOffice in German": text(
        *(",".join(f'"{v}"'.replace(".", ",") for v in row) for row in PROBABILITIES.tolist()),
        header=",".join(CLASS_NAMES),
    ),
    "truth beside": text(
        *(f"{t},{row}" for t, row in zip(OTHER, table(), strict=True)),
        header="y_true," + ",".join(f"proba_{n}" for n in range(C)),
    ),
    "the same label beside": text(*WITH_ALL, header="class," + ",".join(CLASS_NAMES)),
    "printed": str(PROBABILITIES.tolist()),
    "array": f"array({PROBABILITIES.tolist()})",
    "batches of tensors": f"[tensor({PROBABILITIES[:50].tolist()}), "
    f"tensor({PROBABILITIES[50:].tolist()}, grad_fn=<SoftmaxBackward0>)]",
    "JSON": json.dumps(PROBABILITIES.tolist()),
    "JSON by name": json.dumps({"probabilities": PROBABILITIES.tolist(), "y": OTHER.tolist()[:1]}),
    "JSON by ids": json.dumps({n + 1: row for n, row in enumerate(PROBABILITIES.tolist())}),
    "JSON by class": json.dumps(
        {str(n): PROBABILITIES[:, n].tolist() for n in APPEARANCE}
    ),
    "JSON of pandas": json.dumps(
        {str(n): {str(i): v for i, v in enumerate(PROBABILITIES[:, n].tolist())} for n in LAST_ZERO}
    ),
}  # fmt: skip
