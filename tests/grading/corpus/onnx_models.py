"""ONNX submissions, honest and hostile, and the row that each must get."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.grading.corpus import NUM_IMAGES

FLOAT = TensorProto.FLOAT


def model(nodes, constants, shape, outputs=("y",), output_type=FLOAT, batch="N", domain=""):
    """Return the bytes of a model whose input is ``x`` [batch, *shape]."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(name, output_type, None) for name in outputs],
        [
            c if isinstance(c, TensorProto) else numpy_helper.from_array(c[1], c[0])
            for c in constants
        ],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)]
    made = helper.make_model(graph, opset_imports=imports[: 2 if domain else 1])
    made.ir_version = 9
    return made.SerializeToString()


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def network(weights, shape, batch="N"):
    """Return the trained base network."""
    nodes, constants, current = [node("Flatten", "x", "h0")], [], "h0"
    for layer in range(1, 5):
        constants += [
            (f"w{layer}", weights[f"fc{layer}.weight"].numpy()),
            (f"b{layer}", weights[f"fc{layer}.bias"].numpy()),
        ]
        result = "y" if layer == 4 else f"g{layer}"
        gemm = f"{current} w{layer} b{layer}"
        nodes.append(node("Gemm", gemm, result, transB=1))
        if layer < 4:
            nodes.append(node("Relu", result, f"h{layer}"))
        current = f"h{layer}"
    return model(nodes, constants, shape, batch=batch)


def external(location):
    """Return a model whose only weight is the content of another file: here, that of the labels."""
    weight = TensorProto(name="w", data_type=TensorProto.UINT8, data_location=TensorProto.EXTERNAL)
    weight.dims.extend([NUM_IMAGES])
    for key, value in (("location", location), ("offset", "8"), ("length", str(NUM_IMAGES))):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    nodes = [
        node("Cast", "w", "labels", to=TensorProto.INT64),
        node("OneHot", "labels depth values", "y"),
    ]
    constants = [("depth", np.array(10)), ("values", np.array([0, 1], np.float32)), weight]
    return model(nodes, constants, [1, 28, 28], batch=NUM_IMAGES)


def endless():
    """Return a model that counts to 2**62."""
    body = helper.make_graph(
        [node("Identity", "c", "c_out"), node("Add", "v v", "v_out")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("c_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", FLOAT, None),
        ],
    )
    constants = [("count", np.array(2**62)), ("on", np.array(True))]
    return model([node("Loop", "count on x", "y", body=body)], constants, [1, 28, 28])


def fill(folder, weights, labels_file):
    shape = [1, 28, 28]
    matrix = ("w", np.ones((784, 10), np.float32) * np.arange(10, dtype=np.float32))
    colour = ("w", np.ones((3072, 10), np.float32))
    flat = node("Flatten", "x", "f")
    wide = ("s", np.array([2**20, 2**14], np.int64))
    relative = "../" * 20 + str(labels_file).lstrip("/")
    files = {
        "image.onnx": (network(weights, shape), "pass", None),
        "flat.onnx": (network(weights, [784]), "pass", None),
        "single.onnx": (network(weights, shape, batch=1), "pass", None),
        "batch.onnx": (network(weights, shape, batch=768), "pass", None),
        "labels.onnx": (external(str(labels_file)), "error", "keeps weights in other files"),
        "relative.onnx": (external(relative), "error", "keeps weights in other files"),
        "endless.onnx": (endless(), "error", "longer than the 3 s allowed|processor time"),
        "memory.onnx": (
            model(
                [node("ConstantOfShape", "s", "big"), node("ReduceSum", "big", "y")], [wide], shape
            ),
            "error",
            "needs more than the 1 GiB of memory allowed (--memory)",
        ),
        "custom.onnx": (
            model([node("Trick", "x", "y", domain="custom")], [], shape, domain="custom"),
            "error",
            "an operator that is not part of ONNX",
        ),
        "integers.onnx": (
            model(
                [flat, node("MatMul", "f w", "z"), node("Cast", "z", "y", to=TensorProto.INT64)],
                [matrix],
                shape,
                output_type=TensorProto.INT64,
            ),
            "error",
            "answers with int64 [N, 10] in 'y', expected float32 [N, 10]",
        ),
        "shape.onnx": (
            model([flat, node("Relu", "f", "y")], [], shape),
            "error",
            "float32 [N, 784] in 'y'",
        ),
        "input.onnx": (
            model([flat, node("MatMul", "f w", "y")], [colour], [3, 32, 32]),
            "error",
            "of shape [N, 1, 28, 28], [N, 784], [N, 28, 28] or [N, 28, 28, 1]",
        ),
        "two.onnx": (
            model([flat, node("MatMul", "f w", "y")], [matrix], shape, outputs=("y", "f")),
            "fail",
            None,
        ),
        "nan.onnx": (
            model(
                [flat, node("MatMul", "f w", "z"), node("Log", "n", "l"), node("Add", "z l", "y")],
                [matrix, ("n", np.array(-1.0, np.float32))],
                shape,
            ),
            "error",
            "NaN or infinite",
        ),
        "garbage.onnx": (b"garbage", "error", "not an ONNX model"),
        "cut.onnx": (network(weights, shape)[:5000], "error", "not an ONNX model"),
    }
    for name, (content, _, _) in files.items():
        (folder / name).write_bytes(content)
    return {name: (status, reason) for name, (_, status, reason) in files.items()}
