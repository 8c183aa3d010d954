"""What the Inference service knows, as messages of the contract."""

from __future__ import annotations

from coordinator.inference.v1 import inference_pb2 as pb
from coordinator.model.v1 import model_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from processing_service.domains.inference.residency import Residency
from processing_service.domains.inference.residents import Resident
from processing_service.domains.inference.sessions import InferenceSession


def resident_model(resident: Resident) -> model_pb2.ResidentModel:
    """A model as it is in memory."""
    return model_pb2.ResidentModel(
        model_id=resident.model.model_id,
        model_version=resident.model.model_version,
        digest=resident.model.digest,
        device=resident.model.device,
        size_bytes=resident.size_bytes,
        loaded_bytes=resident.size.loaded_bytes,
        run_bytes=resident.size.run_bytes,
        holders=resident.holders,
        loaded_at=timestamp(resident.loaded_at),
        used_at=timestamp(resident.used_at),
        run_count=resident.run_count,
        load_duration=duration(resident.load_seconds),
    )


def device_budgets(residency: Residency) -> list[model_pb2.DeviceBudget]:
    """The memory of each device."""
    return [
        model_pb2.DeviceBudget(
            device=device,
            budget_bytes=budget.budget_bytes,
            used_bytes=residency.used_bytes(device),
            eviction_count=budget.eviction_count,
            load_count=budget.load_count,
        )
        for device, budget in residency.budgets().items()
    ]


def inference_session(session: InferenceSession) -> pb.InferenceSession:
    """A record of who uses a model."""
    return pb.InferenceSession(
        inference_session_id=session.inference_session_id,
        model_id=session.model.model_id,
        model_version=session.model.model_version,
        model_digest=session.model.digest,
        workflow_id=session.workflow_id,
        session_id=session.session_id,
        created_at=timestamp(session.created_at),
        used_at=timestamp(session.used_at),
        run_count=session.run_count,
        in_flight_count=session.in_flight_count,
    )


def timestamp(seconds: float) -> Timestamp | None:
    """Seconds since the epoch; None for 0, which is never."""
    if not seconds:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(int(seconds * 1e6))
    return stamp


def duration(seconds: float) -> Duration:
    """A span of time, never negative."""
    span = Duration()
    span.FromMicroseconds(max(0, int(seconds * 1e6)))
    return span
