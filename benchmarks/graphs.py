"""Random workflows and random changes of them, with what each step has to give and which steps a change reaches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from coordinator.payload.v1.payload_pb2 import DataType, Tensor

RUN: Final = "inference.post_inference_execute"
_MODELS: Final = 3
_PARAMETERS: Final = 3


@dataclass(frozen=True)
class Node:
    """A step: one run of a model on parameters and on what other steps gave."""

    model: int
    """0 is the session's model, if the graph has one; the others are named in the definition."""
    setting: str
    """A literal of its request, of no other step: else two steps of a graph may compute the same, and share a call."""
    parents: frozenset[int]
    parameters: frozenset[int]


@dataclass(frozen=True)
class Graph:
    """A workflow and what a session of it is given."""

    name: str
    nodes: tuple[Node, ...]
    """Each behind its parents."""
    values: tuple[bytes, ...]
    """Of the parameters."""
    digests: tuple[str, ...]
    """Of the models."""
    pins: bool
    """True if its session has a model of its own."""

    def model_id(self, model: int) -> str:
        return f"{self.name}-m{model}"

    def steps(self, pure: bool, order: Random) -> list[dict[str, Any]]:
        """As a definition has them, in any order."""
        steps = [self._step(index, node) | {"pure": pure} for index, node in enumerate(self.nodes)]
        order.shuffle(steps)
        return steps

    def _step(self, index: int, node: Node) -> dict[str, Any]:
        inputs = {f"s{parent}": f"${{steps.s{parent}.outputs.y}}" for parent in node.parents}
        inputs |= {f"p{number}": f"${{parameters.p{number}}}" for number in node.parameters}
        model = "${parameters.model_id}" if self.pins and node.model == 0 else self.model_id(node.model)
        request = {"model_id": model, "output_names": [node.setting], "inputs": inputs}
        return {"step_id": f"s{index}", "operation": RUN, "parameters": request}

    def parameters(self) -> dict[str, dict[str, str]]:
        """As a definition declares them."""
        names = {f"p{number}": {"value_type": "VALUE_TYPE_TENSOR"} for number in range(len(self.values))}
        return names | ({"model_id": {"value_type": "VALUE_TYPE_STRING"}} if self.pins else {})

    def expected(self) -> list[bytes]:
        """What each step has to give."""
        given: list[bytes] = []
        for node in self.nodes:
            inputs = {f"s{parent}": given[parent] for parent in node.parents}
            inputs |= {f"p{number}": self.values[number] for number in node.parameters}
            given.append(result(self.digests[node.model], node.setting, inputs))
        return given

    def closure(self, first: set[int]) -> set[str]:
        """These steps and all behind them."""
        reached = set(first)
        for index, node in enumerate(self.nodes):
            if node.parents & reached:
                reached.add(index)
        return {f"s{index}" for index in reached}


def result(digest: str, setting: str, inputs: Mapping[str, bytes]) -> bytes:
    """What the model makes of its inputs: other inputs, another result."""
    whole = hashlib.sha256(f"{digest}/{setting}".encode())
    for name in sorted(inputs):
        whole.update(name.encode() + inputs[name])
    return whole.digest()


def tensor(data: bytes) -> Tensor:
    """Bytes as a tensor."""
    return Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[len(data)], data=data)


def grow(name: str, chance: Random) -> Graph:
    """Any graph of 2 to 9 steps."""
    nodes = tuple(_node(index, chance) for index in range(chance.randint(2, 9)))
    values = tuple(chance.randbytes(8) for _ in range(_PARAMETERS))
    digests = tuple(chance.randbytes(32).hex() for _ in range(_MODELS))
    return Graph(name, nodes, values, digests, chance.random() < 0.5)


def _node(index: int, chance: Random) -> Node:
    parents = frozenset(chance.sample(range(index), chance.randint(0, min(index, 3))))
    some = frozenset(chance.sample(range(_PARAMETERS), chance.randint(0 if parents else 1, 2)))
    return Node(chance.randrange(_MODELS), f"setting {index}", parents, some)


def change(graph: Graph, chance: Random) -> tuple[Graph, set[str]]:
    """The graph after one change of any kind, and the steps whose results do not hold any more."""
    kind = chance.choice((_value, _digest, _setting, _edge, _longer, _nothing))
    return kind(graph, chance)


def _value(graph: Graph, chance: Random) -> tuple[Graph, set[str]]:
    number = chance.randrange(_PARAMETERS)
    values = tuple(chance.randbytes(8) if each == number else value for each, value in enumerate(graph.values))
    first = {index for index, node in enumerate(graph.nodes) if number in node.parameters}
    return replace(graph, values=values), graph.closure(first)


def _digest(graph: Graph, chance: Random) -> tuple[Graph, set[str]]:
    model = chance.randrange(_MODELS)
    digests = tuple(chance.randbytes(32).hex() if each == model else old for each, old in enumerate(graph.digests))
    first = {index for index, node in enumerate(graph.nodes) if node.model == model}
    return replace(graph, digests=digests), graph.closure(first)


def _setting(graph: Graph, chance: Random) -> tuple[Graph, set[str]]:
    index = chance.randrange(len(graph.nodes))
    return _with(graph, index, replace(graph.nodes[index], setting="changed"))


def _edge(graph: Graph, chance: Random) -> tuple[Graph, set[str]]:
    index = chance.randrange(1, len(graph.nodes))
    node = graph.nodes[index]
    parents = node.parents ^ {chance.randrange(index)}
    parameters = node.parameters if parents or node.parameters else frozenset({0})
    return _with(graph, index, replace(node, parents=parents, parameters=parameters))


def _with(graph: Graph, index: int, node: Node) -> tuple[Graph, set[str]]:
    changed = replace(graph, nodes=(*graph.nodes[:index], node, *graph.nodes[index + 1 :]))
    return changed, changed.closure({index})


def _longer(graph: Graph, chance: Random) -> tuple[Graph, set[str]]:
    added = len(graph.nodes)
    return replace(graph, nodes=(*graph.nodes, replace(_node(added, chance), setting="added"))), {f"s{added}"}


def _nothing(graph: Graph, chance: Random) -> tuple[Graph, set[str]]:
    return graph, set()
