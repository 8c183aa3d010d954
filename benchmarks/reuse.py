"""Random graphs, each run twice with a random change in between: calls made, and stale results among what came out."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceServicer, add_InferenceServiceServicer_to_server
from coordinator.model.v1 import model_pb2
from coordinator.model.v1.model_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest, Workflow
from google.protobuf.json_format import ParseDict

from benchmarks.graphs import Graph, change, grow, result, tensor
from benchmarks.options import Options
from benchmarks.rows import Row, Spread, Target
from instructors.dispatch import Dispatch
from instructors.domains import CONTRACT, Domain, Domains
from instructors.formers import loader
from instructors.registry import Instructors
from instructors.reuse_plans import RERUN, Decision, ReusePlanner
from processing_service.engine.definitions import compile_definition
from processing_service.engine.ids import TimeOrderedIds
from processing_service.engine.journal import encode_output
from processing_service.engine.local import LocalEngine
from processing_service.engine.managers.sessions import Beginning, SessionManager
from processing_service.engine.managers.settings import SessionSettings
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.observer import Observer
from processing_service.engine.records import Output
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.engine.store.sqlite.faults import FILE_NAME
from processing_service.wire.callcontext import CallContext, current
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.errors import not_found
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.telemetry.hooks import Telemetry

ROWS: Final = ("stale",)
_GRAPHS: Final = 1_000
_AT_ONCE: Final = 50
_REPLY: Final = inference_pb2.PostInferenceExecuteResponse.DESCRIPTOR.full_name
_STALE: Final = b"planted: nobody may take this"


class Models(ModelServiceServicer, InferenceServiceServicer):
    """Models that can be replaced, and what runs them; counts the runs."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.calls: defaultdict[str, list[str]] = defaultdict(list)
        """Steps that called, by session_id."""

    async def GetModel(self, request: Any, context: Any) -> Any:
        digest = self.digests.get(request.model_id)
        if digest is None:
            raise not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model", request.model_id)
        info = model_pb2.ModelInfo(model_id=request.model_id, model_version="1", digest=digest)
        return model_pb2.GetModelResponse(model=info)

    async def PostInferenceSession(self, request: Any, context: Any) -> Any:
        record = inference_pb2.InferenceSession(inference_session_id=request.session_id)
        return inference_pb2.PostInferenceSessionResponse(inference_session=record)

    async def DeleteInferenceSession(self, request: Any, context: Any) -> Any:
        return inference_pb2.DeleteInferenceSessionResponse()

    async def PostInferenceExecute(self, request: Any, context: Any) -> Any:
        call = current()
        self.calls[call.session_id].append(call.step_id)
        digest = self.digests[request.model_id]
        assert request.model_digest in ("", digest), "it is bound to a model that is gone"
        inputs = {name: value.data for name, value in request.inputs.items()}
        outputs = {"y": tensor(result(digest, request.output_names[0], inputs))}
        return inference_pb2.PostInferenceExecuteResponse(outputs=outputs, model_version="1", model_digest=digest)


class Came(NamedTuple):
    """What came of a session."""

    results: list[bytes]
    """By step, in the order of the graph."""
    called: set[str]
    calls: int
    planned: set[str] | None
    """Steps that were said to run, if that was asked."""


class Rig:
    """An engine on a real store, with the models as its domains."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(StoreSettings(folder))
        self.models, telemetry = Models(), Telemetry()
        server = InProcessServer(Edge(telemetry).wrap)
        add_ModelServiceServicer_to_server(self.models, server)
        add_InferenceServiceServicer_to_server(self.models, server)
        names = ("model", "inference")
        self.domains = Domains([Domain(name, CONTRACT[name], InProcessChannel(server)) for name in names])
        workflows = WorkflowManager(self.store.workflows, self.domains, _now_us)
        ids = TimeOrderedIds(_now_us, os.urandom)
        self.sessions = SessionManager(workflows, SessionSettings(), ids, _now_us, telemetry)
        self.dispatch = Dispatch(
            Instructors(self.domains),
            self.store.artifacts,
            _no_child,
            _now_us,
            stored=self.store.reuse,
            load=loader(self.store.sessions, self.sessions.revive),
        )
        assert self.dispatch.reuse is not None
        self.planner = ReusePlanner(self.dispatch, self.dispatch.reuse)
        self.engine = LocalEngine(
            self.store.sessions,
            self.store.artifacts,
            self.dispatch,
            self.sessions.revive,
            _now_us,
            Observer(telemetry),
            self.dispatch.closed,
        )

    async def begin(self, graph: Graph, session_id: str, steps: list[Any], enabled: bool, former: str) -> Beginning:
        """A session of a graph that may begin."""
        workflow = {"workflow_id": graph.name, "steps": steps, "parameters": graph.parameters()}
        definition = compile_definition(ParseDict(workflow | {"reuse_enabled": enabled}, Workflow()), self.domains)
        request = PostWorkflowExecuteRequest(
            workflow_id=graph.name,
            session_id=session_id,
            from_session_id=former,
            payloads={f"p{number}": Datum(tensor=tensor(value)) for number, value in enumerate(graph.values)},
            model_id=graph.model_id(0) if graph.pins else "",
        )
        self.models.digests |= {graph.model_id(model): digest for model, digest in enumerate(graph.digests)}
        values = definition.parameter_values(request).values
        beginning = self.sessions.begin(request, definition, values, digest=b"", tenant="t", traceparent="")
        if graph.pins:
            await self.dispatch.opened(beginning.context)
        return beginning.pinned()

    async def plan(
        self, graph: Graph, steps: list[Any], *, enabled: bool, former: str = "", beginning: Beginning | None = None
    ) -> dict[str, Decision]:
        """What a run of a graph would do, by step."""
        begun = beginning or await self.begin(graph, "", steps, enabled, former)
        return {one.step_id: one for one in await self.planner.decide(begun.context, CallContext(tenant="t"))}

    async def run(self, graph: Graph, session_id: str, steps: list[Any], *, enabled: bool, former: str = "") -> Came:
        """Runs a graph, to its end."""
        beginning = await self.begin(graph, session_id, steps, enabled, former)
        plan = await self.plan(graph, steps, enabled=enabled, beginning=beginning) if former else None
        _, live = await self.engine.submit(*beginning)
        assert live is not None
        final = await live.wait(1 << 62)
        assert final is not None
        done = dict(zip((step["step_id"] for step in steps), final.state.steps, strict=True))
        outputs = [done[f"s{index}"].output for index in range(len(steps))]
        calls = self.models.calls.pop(session_id, [])
        planned = {name for name, one in plan.items() if one.reuse == RERUN} if plan is not None else None
        return Came([_result_in(output) for output in outputs], set(calls), len(calls), planned)

    async def close(self) -> None:
        await self.engine.drain(0)
        await self.store.close()


class Counts(NamedTuple):
    """What a run over graphs came to."""

    graphs: int
    steps: int
    closure: int
    """Steps that the changes reached."""
    calls: int
    wrong: list[str]
    """Graphs in which a stale result came out, or other steps called than the change reached or the plan said."""


async def count(folder: Path, graphs: int, seed: int) -> Counts:
    """Runs so many random graphs, plants stale results, changes each graph, and runs it again.

    Half of them find results of pure steps, half are started from their former sessions.
    """
    rig = Rig(folder)
    try:
        return await _count(rig, folder, graphs, seed)
    finally:
        await rig.close()


async def _count(rig: Rig, folder: Path, graphs: int, seed: int) -> Counts:
    chances = [Random(seed * 1_000_003 + number) for number in range(graphs)]
    before = [grow(f"g{number}", chance) for number, chance in enumerate(chances)]
    enabled = [number % 2 == 0 or chance.random() < 0.5 for number, chance in enumerate(chances)]
    after = [change(graph, chance) for graph, chance in zip(before, chances, strict=True)]

    async def first(number: int) -> None:
        graph = before[number]
        came = await rig.run(
            graph, f"a{number}", graph.steps(enabled[number], chances[number]), enabled=enabled[number]
        )
        assert came.results == graph.expected()

    async def second(number: int) -> tuple[int, str]:
        graph, reached = after[number]
        former = "" if number % 2 == 0 else f"a{number}"
        steps = graph.steps(enabled[number], chances[number])
        came = await rig.run(graph, f"b{number}", steps, enabled=enabled[number], former=former)
        fine = came.results == graph.expected() and came.called == reached and came.calls == len(reached)
        told = came.planned in (None, reached)
        return came.calls, "" if fine and told else f"{graph.name}: {came.called} for {reached}, told {came.planned}"

    await _in_groups(first, graphs)
    _plant(folder, {f"a{number}": reached for number, (_, reached) in enumerate(after)})
    done = await _in_groups(second, graphs)
    steps, closure = sum(len(graph.nodes) for graph, _ in after), sum(len(reached) for _, reached in after)
    return Counts(graphs, steps, closure, sum(calls for calls, _ in done), [text for _, text in done if text])


def _plant(folder: Path, reached: dict[str, set[str]]) -> None:
    """Makes what the changes reach worthless where it is stored, so that whoever takes it is found out."""
    stale = inference_pb2.PostInferenceExecuteResponse(outputs={"y": tensor(_STALE)}).SerializeToString()
    output = encode_output(Output(_REPLY, stale, b"", len(stale)))
    keys = [(output, f"{session_id}/{step}#1") for session_id, steps in reached.items() for step in steps]
    with sqlite3.connect(folder / FILE_NAME, timeout=60) as connection:
        connection.executemany("UPDATE reusable SET output = ? WHERE step_key = ?", keys)
    connection.close()


async def _in_groups(work: Any, total: int) -> list[Any]:
    done: list[Any] = []
    for start in range(0, total, _AT_ONCE):
        done += await asyncio.gather(*(work(number) for number in range(start, min(total, start + _AT_ONCE))))
    return done


def _result_in(output: Output | None) -> bytes:
    assert output is not None
    return inference_pb2.PostInferenceExecuteResponse.FromString(output.data).outputs["y"].data


def _now_us() -> int:
    return time.time_ns() // 1000


async def _no_child(call: Any, request: Any) -> Any:
    raise AssertionError("no step starts a session")


async def measure(options: Options) -> list[Row]:
    """The row, if it is wanted."""
    graphs = _GRAPHS if options.rounds > 2 else _GRAPHS // 10
    options.folder.mkdir(parents=True, exist_ok=True)
    came = await count(options.folder, graphs, seed=int.from_bytes(os.urandom(4), "big"))
    what = f"{came.graphs:,} random graphs of {came.steps:,} steps, one change each: graphs with a stale result or call"
    ours, peer = f"{came.calls:,} calls", f"{came.closure:,} in the downstream closures"
    return [Row("stale", what, Spread.one(len(came.wrong)), Target("<=", 0), ours, peer)]
