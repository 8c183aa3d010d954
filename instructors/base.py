"""The caller of one domain: deadline, metadata, turns and errors of every outgoing call, in one place."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf.message import DecodeError, Message
from grpc.aio import AioRpcError

from instructors.cancel_proof import CancelProof
from instructors.domains import Domain, Domains, Operation
from instructors.durations import budget_too_short
from instructors.messages import build, separate
from instructors.turns import PATIENT, Patience, Turns
from processing_service.wire.callcontext import CallContext, current, outgoing_metadata
from processing_service.wire.channels import InProcessChannel
from processing_service.wire.errors import Code, CoordinatorError, Unreached, invalid
from processing_service.wire.interceptors.errors import from_rpc_error, never_left
from processing_service.wire.retries import RetrySettings, retried
from processing_service.wire.telemetry.hooks import CallEnded, LegacyName, Telemetry

log = logging.getLogger(__name__)

_FOREVER: Final = float("inf")
_SAMPLED: Final = "1"
"""How the traceparent of a trace ends that spans are made for."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What holds for every outgoing call."""

    maximum: float = 3600.0
    """Longest time of one call, in seconds."""
    margin_ratio: float = 0.05
    """Share of the time left that is kept back at each hop, so that the far end gives up first and can say why."""
    max_margin: float = 0.05
    """Most that is kept back, in seconds."""
    retries: RetrySettings = field(default_factory=RetrySettings)
    """For calls outside of sessions."""

    def timeout(self, remaining: float) -> float:
        """Seconds that a call gets of what is left."""
        return min(self.maximum, remaining - min(self.max_margin, remaining * self.margin_ratio))


class BaseInstructor:
    """Owns the channel of one domain and makes its calls.

    Args:
        domain: the domain.
        domains: where operations are found.
        peers: the instructors by domain, for `coordinate_domain`.
        telemetry: told of calls that leave the process, and of legacy spellings.
    """

    def __init__(
        self,
        domain: Domain,
        domains: Domains,
        peers: Mapping[str, BaseInstructor],
        settings: CallSettings,
        telemetry: Telemetry,
    ) -> None:
        self.domain = domain
        self.turns = Turns(domain.max_in_flight)
        """Counts the calls that are out."""
        self._domains, self._peers = domains, peers
        self._settings, self._telemetry = settings, telemetry
        self._peer = f"the {domain.name} domain"
        self._remote = not domain.embedded
        self._direct = isinstance(domain.channel, InProcessChannel)
        self._untraced = telemetry.tracing is None
        self._methods: dict[str, Any] = {}
        self._proof = CancelProof(domain.channel) if self._remote and domain.channel is not None else None

    async def heard_cancel(self) -> bool:
        """Whether the domain has heard of the calls that were cancelled by now; False if it cannot be reached."""
        return self._proof is None or await self._proof.heard()

    async def call(
        self,
        operation: str,
        request: Message,
        *,
        deadline: float | None = None,
        context: CallContext | None = None,
    ) -> Message:
        """Makes one call, once.

        Args:
            operation: the RPC in snake_case, such as `get_model`.
            request: its request.
            deadline: in seconds of `time.monotonic()`; the call gets what is left, less a margin. None takes that of
                the context.
            context: on whose behalf; the call that is served now, if not given.

        Raises:
            CoordinatorError: what the domain answered; DOMAIN_UNAVAILABLE (Unreached if the call never left),
                DEADLINE_EXCEEDED, PAYLOAD_TOO_LARGE.
        """
        found = self.operation(operation)
        context = current() if context is None else context
        until = context.deadline if deadline is None else deadline
        data = await self.send(found, request, _FOREVER if until is None else until, context)
        return self.parse(found, data)

    async def send(
        self,
        operation: Operation,
        request: Message,
        deadline: float,
        context: CallContext,
        patience: Patience = PATIENT,
    ) -> bytes:
        """Makes one call, once, and gives the response as it came.

        Args:
            deadline: in seconds of `time.monotonic()`; later by what the clocks of its session stand still meanwhile.
            patience: how long it may wait for its turn.

        Raises:
            CoordinatorError: as `call`; STEP_QUEUED_TOO_LONG, BUDGET_TOO_SHORT.
        """
        method = self._methods.get(operation.path) or self._open(operation)
        turns = self.turns
        if not turns.take():
            deadline = await self._queue(deadline, patience, context.idempotency_key)
        started, code = time.monotonic(), 0
        try:
            timeout, metadata = self._timeout(deadline - started), outgoing_metadata(context)
            reply: bytes = await method(request, timeout=timeout, metadata=metadata)
        except AioRpcError as error:
            code = error.code().value[0]
            raise self._failed(error) from error
        except BaseException:
            code = Code.CANCELLED
            raise
        finally:
            turns.leave()
            if self._remote:
                self._telemetry.emit(CallEnded("client", operation.path, code, time.monotonic() - started, context))
        return reply

    async def send_watched(
        self, operation: Operation, request: Message, deadline: float, context: CallContext, patience: Patience
    ) -> bytes:
        """As `send`, for a caller that cancels the call when its time is over and has its deadline in the context.

        To a domain in this process it goes without a channel, unless a span has to be made for it.
        """
        if not self._direct or not (self._untraced or not context.traceparent.endswith(_SAMPLED)):
            return await self.send(operation, request, deadline, context, patience)
        method = self._methods.get(operation.name) or self._open_direct(operation)
        turns = self.turns
        if not turns.take():
            deadline = await self._queue(deadline, patience, context.idempotency_key)
            context = context._replace(deadline=deadline)
        try:
            if deadline <= time.monotonic():
                raise self._late()
            reply: bytes = await method(request, context)
        finally:
            turns.leave()
        return reply

    def operation(self, rpc: str) -> Operation:
        """An operation of this domain, by its RPC in snake_case. Raises CoordinatorError: OPERATION_NOT_FOUND."""
        return self._domains.operation(f"{self.domain.name}.{rpc}")

    def parse(self, operation: Operation, data: bytes) -> Message:
        """The response in these bytes. Raises CoordinatorError: FOREIGN if they are something else."""
        try:
            return operation.response_class.FromString(data)
        except DecodeError as error:
            text = f"{self._peer} answered {operation.name} with bytes that are not a {operation.response_name}"
            raise CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_FOREIGN, text) from error

    async def coordinate_domain(self, domain: str, command: Mapping[str, object]) -> Message:
        """Calls an operation of any domain: `{"operation": "get_model", "model_id": "text-detection"}`.

        On behalf of a session it makes one call; else it tries again as its settings say, never past the deadline of
        the call that is served now.

        Args:
            domain: its name.
            command: `operation`, and the fields of the request by name; bytes and messages stand as they are.

        Raises:
            CoordinatorError: as `call`; DOMAIN_NOT_FOUND, OPERATION_NOT_FOUND, FIELD_*.
        """
        fields = dict(command)
        operation = self._named(domain, fields.pop("operation", ""))
        values, leaves = separate(fields)
        request = operation.request_class()
        build(request, values, leaves, self.note_legacy)
        return await self.coordinate(operation, request)

    async def coordinate(
        self,
        operation: Operation,
        request: Message,
        *,
        deadline: float | None = None,
        context: CallContext | None = None,
    ) -> Message:
        """Calls an operation of any domain: once on behalf of a session, else with retries. Raises as `call`."""
        peer = self._peers[operation.domain]
        context = current() if context is None else context
        until = context.deadline if deadline is None else deadline
        rpc = operation.rpc

        async def once() -> Message:
            return await peer.call(rpc, request, deadline=until, context=context)

        return await (once() if context.session_id else retried(once, self._settings.retries, until))

    def note_legacy(self, full_field_name: str, spelling: str) -> None:
        """Tells telemetry of a legacy spelling."""
        self._telemetry.emit(LegacyName(full_field_name, spelling))

    def _named(self, domain: str, operation: object) -> Operation:
        if not operation:
            text = "names the RPC in snake_case, such as 'get_model'"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "operation", text)
        name = str(operation).removeprefix(f"{domain}.")
        return self._domains.operation(self._domains.spelled(f"{domain}.{name}"))

    def _open(self, operation: Operation) -> Any:
        """The channel's method. Raises CoordinatorError: DOMAIN_NOT_CONFIGURED, OPERATION_NOT_FOUND for streams."""
        channel = self.domain.channel
        if channel is None:
            raise not_configured(self.domain.name)
        if not operation.unary:
            text = f"{operation.name} is a stream; call it by the service's own client"
            raise CoordinatorError(Code.UNIMPLEMENTED, ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND, text)
        method: Any = channel.unary_unary(operation.path, operation.request_class.SerializeToString, None)
        self._methods[operation.path] = method
        return method

    def _open_direct(self, operation: Operation) -> Any:
        """The servicer's own method. Raises as `_open`."""
        assert isinstance(self.domain.channel, InProcessChannel)
        if not operation.unary:
            return self._open(operation)
        method = self._methods[operation.name] = self.domain.channel.direct(operation.path)
        return method

    async def _queue(self, deadline: float, patience: Patience, key: str) -> float:
        """Waits for a turn; the deadline as it is then.

        Raises:
            CoordinatorError: STEP_QUEUED_TOO_LONG, BUDGET_TOO_SHORT, DEADLINE_EXCEEDED.
            NotSent: it was recalled.
        """
        halted, left = patience.halted(), deadline - time.monotonic()
        if await self.turns.wait(min(left - patience.needed, patience.max_queued), patience.halted, key):
            return deadline + patience.halted() - halted
        if left - patience.needed > patience.max_queued:
            raise self._queued_too_long(patience.max_queued)
        raise budget_too_short(patience.what, patience.needed, patience.needed) if patience.needed else self._late()

    def _queued_too_long(self, max_queued: float) -> CoordinatorError:
        return CoordinatorError(
            Code.DEADLINE_EXCEEDED,
            ErrorReason.ERROR_REASON_STEP_QUEUED_TOO_LONG,
            f"waited {max_queued:g} s for one of {self.turns.limit} calls to {self._peer}; raise one of both",
            metadata={"max_queued_seconds": f"{max_queued:g}", "in_flight_limit": str(self.turns.limit)},
        )

    def _timeout(self, remaining: float) -> float:
        if remaining <= 0:
            raise self._late()
        return self._settings.timeout(remaining)

    def _failed(self, error: AioRpcError) -> CoordinatorError:
        """What a failed call means: the domain's answer, or that it was not reached."""
        if self._remote and self.domain.channel is not None and never_left(error, self.domain.channel):
            return Unreached(self.domain.name, self.domain.address)
        return from_rpc_error(error, self._peer)

    def _late(self) -> CoordinatorError:
        text = f"no time was left for a call to {self._peer}; give the session a longer timeout"
        return CoordinatorError(Code.DEADLINE_EXCEEDED, ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, text)


def not_configured(domain: str) -> CoordinatorError:
    """FAILED_PRECONDITION for a domain that this server has no channel to."""
    text = f"this server has no channel to the {domain} domain; give its address in the configuration"
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_DOMAIN_NOT_CONFIGURED,
        text,
        metadata={"domain": domain},
    )
