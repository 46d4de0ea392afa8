"""ONNX models: what their bytes say, how they are opened, and what they answer."""
