"""Writes tiny ONNX models: just enough of the protobuf encoding of onnx.proto3 for what the tests need."""

from collections.abc import Sequence
from pathlib import Path

FLOAT, UINT8, INT64, STRING = 1, 2, 7, 8

Shape = Sequence[int | str]


def field(number: int, value: int | bytes | str) -> bytes:
    """One field: a number as varint, text and bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tensor_info(name: str, shape: Shape, element: int = FLOAT) -> bytes:
    """ValueInfoProto; a dynamic axis is given by a name."""
    dims = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, element) + field(2, dims)))


def constant(name: str, shape: Sequence[int], data: bytes, element: int = FLOAT) -> bytes:
    """TensorProto with its data inside."""
    return b"".join(field(1, size) for size in shape) + field(2, element) + field(8, name) + field(9, data)


def external(name: str, shape: Sequence[int], location: str) -> bytes:
    """TensorProto whose data lies in another file."""
    entry = field(1, "location") + field(2, location)
    return (
        b"".join(field(1, size) for size in shape) + field(2, FLOAT) + field(8, name) + field(13, entry) + field(14, 1)
    )


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int) -> bytes:
    """NodeProto with integer attributes."""
    attribute = b"".join(
        field(5, field(1, name) + field(3, value) + field(20, 2)) for name, value in attributes.items()
    )
    names = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    return names + field(3, outputs[0]) + field(4, operator) + attribute


def model(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    initializers: Sequence[bytes] = (),
    metadata: dict[str, str] | None = None,
) -> bytes:
    """ModelProto of IR version 8 and operator set 13."""
    graph = b"".join(field(1, each) for each in nodes) + field(2, "graph")
    graph += b"".join(field(5, each) for each in initializers)
    graph += b"".join(field(11, each) for each in inputs) + b"".join(field(12, each) for each in outputs)
    entries = b"".join(field(14, field(1, key) + field(2, value)) for key, value in (metadata or {}).items())
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)) + entries


def doubling(shape: Shape = ("n", 3), element: int = FLOAT, metadata: dict[str, str] | None = None) -> bytes:
    """Give x + x."""
    add = node("Add", ["x", "x"], ["y"])
    return model([add], [tensor_info("x", shape, element)], [tensor_info("y", shape, element)], metadata=metadata)


def slow(rounds: int, size: int = 400) -> bytes:
    """Give the inverse hyperbolic sine of x, [n, size], `rounds` times over: it can be stopped in between."""
    names = ["x", *(f"h{index}" for index in range(rounds - 1)), "y"]
    nodes = [node("Asinh", [names[index]], [names[index + 1]]) for index in range(rounds)]
    return model(nodes, [tensor_info("x", ("n", size))], [tensor_info("y", ("n", size))])


def heavy(mebibytes: int) -> bytes:
    """The sum of x * w, where w is `mebibytes` of weights: it takes as much when loaded and twice that in a run."""
    count = mebibytes << 18
    nodes = [node("Mul", ["w", "x"], ["v"]), node("ReduceSum", ["v"], ["y"], keepdims=1)]
    weights = constant("w", [count], bytes(4 * count))
    return model(nodes, [tensor_info("x", (1,))], [tensor_info("y", (1,))], [weights])


def put(repository: Path, model_id: str, content: bytes, version: str = "1", manifest: str = "") -> Path:
    """Lay a model into a repository; returns its folder."""
    folder = repository / model_id / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    if manifest:
        (folder / "model.yaml").write_text(manifest)
    return folder
