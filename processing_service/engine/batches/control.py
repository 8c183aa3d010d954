"""What clients ask of a batch: paused, resumed, cancelled, its failed cells run again, its priority changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from processing_service.engine.batches.records import (
    BatchAction,
    BatchKind,
    BatchState,
    PausedReason,
    Standing,
)
from processing_service.engine.batches.rules import check_action
from processing_service.engine.batches.runner import BatchRunner
from processing_service.engine.store.base import RequestNote


class Order(NamedTuple):
    """A client's wish."""

    at_us: int
    action: BatchAction | None = None
    """None = it is to be executed."""
    priority: int = 0
    """Of REPRIORITIZE."""
    request_id: str = ""
    actor: str = ""
    comment: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """What the history says of it."""
        return {"request_id": self.request_id, "actor": self.actor, "message": self.comment}


async def obey(runner: BatchRunner, order: Order, note: RequestNote | None) -> bool:
    """Carries out a wish on a batch that runs; its record is durable on return. False if it has ended by now.

    Raises:
        CoordinatorError: BATCH_STATE_ILLEGAL, REQUEST_ID_REUSED, STORE_*.
    """
    async with runner.ledger.turn:
        if runner.standing.state.terminal:
            return False
        assert order.action is not None
        check_action(runner.row.start.batch_id, runner.standing.state, order.action)
        await _BY_ACTION[order.action](runner, order, note)
    runner.out.settle_pause()
    return True


async def _pause(runner: BatchRunner, order: Order, note: RequestNote | None) -> None:
    standing = runner.standing.moved(BatchState.PAUSING, paused_reason=PausedReason.OPERATOR)
    await runner.ledger.move(standing, [BatchKind.BATCH_STATE_CHANGED], note, **order.facts)
    await runner.out.tell_all()


async def _resume(runner: BatchRunner, order: Order, note: RequestNote | None) -> None:
    """Goes on; behind a canary that did not pass with the rest all the same."""
    failed = runner.standing.paused_reason is PausedReason.CANARY
    await runner.ledger.move(resumed(runner.standing), [BatchKind.BATCH_STATE_CHANGED], note, **order.facts)
    runner.go_on(opens=failed)
    await runner.out.tell_all()


async def _cancel(runner: BatchRunner, order: Order, note: RequestNote | None) -> None:
    standing = runner.standing.moved(BatchState.CANCELLING, paused_reason=PausedReason.NOBODY)
    await runner.ledger.move(standing, [BatchKind.BATCH_STATE_CHANGED], note, **order.facts)
    await runner.out.tell_all()


async def _retry_failed(runner: BatchRunner, order: Order, note: RequestNote | None) -> None:
    """Goes on with what has failed so far, once all of that can be read: not long, since nothing begins meanwhile."""
    await runner.settled()
    failed, standing = runner.failures.count, retried(runner.standing, runner.now_us(), on_trial=runner.on_trial)
    await runner.ledger.move(standing, [BatchKind.BATCH_STATE_CHANGED], note, **order.facts)
    await runner.try_again(failed)
    await runner.out.tell_all()


async def _reprioritize(runner: BatchRunner, order: Order, note: RequestNote | None) -> None:
    standing = runner.standing.moved(runner.standing.state, priority=order.priority)
    await runner.ledger.move(standing, [BatchKind.PRIORITY_CHANGED], note, **order.facts)


def resumed(standing: Standing) -> Standing:
    """Running again."""
    return standing.moved(BatchState.RUNNING, paused_reason=PausedReason.NOBODY, fault=None)


def retried(standing: Standing, at_us: int, *, on_trial: bool = False) -> Standing:
    """Running again, with the cells that have failed before that time.

    Args:
        on_trial: the canary is judged anew.
    """
    return standing.moved(
        BatchState.RUNNING,
        paused_reason=PausedReason.NOBODY,
        fault=None,
        started_us=standing.started_us or at_us,
        ended_us=0,
        retry_before_us=at_us + 1,
        canary=standing.canary._replace(decided=False) if on_trial else standing.canary,
    )


_BY_ACTION: Final[dict[BatchAction, Callable[[BatchRunner, Order, RequestNote | None], Awaitable[None]]]] = {
    BatchAction.PAUSE: _pause,
    BatchAction.RESUME: _resume,
    BatchAction.CANCEL: _cancel,
    BatchAction.RETRY_FAILED: _retry_failed,
    BatchAction.REPRIORITIZE: _reprioritize,
}
