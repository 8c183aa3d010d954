"""Again or not, and when. Pure: standard library only."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from processing_service.engine.reasons import Code, Reason
from processing_service.engine.records import Fault, RetryPlan

_AGAIN: Final = frozenset({Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.UNAVAILABLE})
"""The domain says that it did not do it."""
_NEVER: Final = frozenset(
    {
        Reason.PAYLOAD_TOO_LARGE,
        Reason.MODEL_BUDGET_EXCEEDED,
        Reason.BUDGET_TOO_SHORT,
        Reason.STEP_QUEUED_TOO_LONG,
        Reason.STEP_FAILED,  # of a session that is a step
    }
)
"""The next try would end alike."""
_MAX_GROWTH: Final = 64
"""Times that a wait grows, at most: tries that wait for a domain have no other end."""


def delay_us(plan: RetryPlan, fault: Fault, tries: int, idempotent: bool, key: str) -> int | None:
    """Microseconds to wait before the next try; None = no other try.

    Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015). The jitter is a hash of the
    step key, so that a replay of the same history waits the same time. What the peer asked to wait is the least.

    Args:
        tries: tries so far in this attempt of the session, from 1.
        idempotent: whether a call that ran out of time may go out again.
    """
    if tries >= plan.max_attempts or fault.reason in _NEVER:
        return None
    if fault.code not in _AGAIN and not (idempotent and fault.code == Code.DEADLINE_EXCEEDED):
        return None
    return max(backoff_us(plan, tries, key), fault.retry_us)


def last_fault(fault: Fault, left_us: int) -> Fault:
    """Why a step fails whose next try would begin after the budget: BUDGET_TOO_SHORT if its peer asked to wait so long.

    Args:
        left_us: what is left of the budget, in microseconds.
    """
    if fault.retry_us < left_us:
        return fault
    needed, left = f"{fault.retry_us / 1e6:g}", f"{left_us / 1e6:g}"
    text = (
        f"another try may begin in {needed} s, and {left} s are left of the budget; give the session a longer timeout"
    )
    facts = (("needed_seconds", needed), ("left_seconds", left))
    return Fault(Code.DEADLINE_EXCEEDED, Reason.BUDGET_TOO_SHORT, text, cause=fault, facts=facts)


def backoff_us(plan: RetryPlan, tries: int, key: str) -> int:
    """Microseconds between this try, counted from 1, and the next, as `delay_us` says."""
    times = min(tries - 1, _MAX_GROWTH)
    grown: int = plan.initial_us * plan.multiplier_milli**times // 1000**times
    return crc32(key.encode()) % (min(plan.max_us, grown) + 1)
