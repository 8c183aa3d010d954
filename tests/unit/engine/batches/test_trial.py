"""The canary while it runs."""

from __future__ import annotations

from processing_service.engine.batches.records import Canary
from processing_service.engine.batches.trial import Trial
from processing_service.engine.records import SessionState


def test_a_trial_is_over_when_all_its_cells_have_ended() -> None:
    """Others do not count, nor does one twice."""
    trial = Trial(Canary(2, 1), [4, 7])
    trial.note(4, SessionState.FAILED, 1000, 1030)
    trial.note(4, SessionState.FAILED, 1000, 1099)
    trial.note(5, SessionState.FAILED, 1000, 1099)
    assert not trial.over
    trial.note(7, SessionState.SUCCEEDED, 1000, 1050)

    assert trial.over
    assert (trial.verdict().passed, trial.verdict().failed_count, trial.verdict().longest_us) == (True, 1, 50)


def test_what_was_not_stored_is_awaited_once_more() -> None:
    """Also what it came to is forgotten."""
    trial = Trial(Canary(1), [4])
    trial.note(4, SessionState.FAILED, 1000, 1030)
    trial.forget(4)
    trial.forget(9)
    assert not trial.over
    trial.note(4, SessionState.SUCCEEDED, 1000, 1020)

    assert (trial.over, trial.verdict().passed, trial.verdict().longest_us) == (True, True, 20)


def test_a_cell_that_was_ended_before_it_could_start_took_no_time() -> None:
    """It has no start to count from."""
    trial = Trial(Canary(1, max_cell_us=5), [4])
    trial.note(4, SessionState.CANCELLED, 0, 1_790_000_000_000_000)

    assert (trial.verdict().failed_count, trial.verdict().longest_us) == (1, 0)
