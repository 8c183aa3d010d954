"""Errors with several violations; errors as failures of histories, and back."""

from coordinator.error.v1.error_pb2 import ErrorReason, Failure

from processing_service.wire.errors import Code, CoordinatorError, Violation, from_failure, invalid_all, to_failure


def chained(length):
    """An error with a chain of causes; error 0 is the root."""
    error = CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "error 0")
    for number in range(1, length):
        outer = CoordinatorError(Code.ABORTED, ErrorReason.ERROR_REASON_STEP_FAILED, f"error {number}")
        outer.__cause__ = error
        error = outer
    return error


def messages(failure):
    """Messages of the chain, outermost first."""
    found = []
    while failure != Failure():
        found.append(failure.message)
        failure = failure.cause
    return found


def test_a_failure_comes_back_with_its_causes():
    """What stands in a history is an error again, and that error the same failure, steps and all."""
    error = CoordinatorError(
        Code.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_FOREIGN,
        "m",
        metadata={"a": "b"},
        violations=[Violation("a.b", "d", "s")],
        retry_delay=0.5,
        reason_name="THEIRS",
    )
    error.__cause__ = from_failure(to_failure(chained(2), step_key="s/inner#2", attempt=2))
    failure = to_failure(error, step_key="s/outer#1", attempt=1)

    assert (failure.cause.step_key, failure.cause.attempt) == ("s/inner#2", 2)
    assert to_failure(from_failure(failure)) == failure


def test_a_long_chain_keeps_both_ends():
    """Who reads it sees what failed for him and why; what is between is left out."""
    found = messages(to_failure(chained(40)))

    assert len(found) == 16
    assert (found[0], found[7], found[8], found[15]) == ("error 39", "error 32", "error 7", "error 0")


def test_an_unexpected_exception_shows_its_type_alone():
    """Its text may hold server paths; a cause of ours stays."""
    error = ValueError("/secret/path")
    error.__cause__ = chained(1)
    failure = to_failure(error)

    assert failure.reason_name == "INTERNAL"
    assert "secret" not in str(failure)
    assert failure.cause.message == "error 0"


def test_many_violations_are_told_by_the_first():
    """The message names it, with what was probably meant, and counts the others; all of them are there."""
    faults = [Violation("a.b", "is wrong", "c"), Violation("d", "is missing")]
    error = invalid_all(ErrorReason.ERROR_REASON_FIELD_INVALID, faults)

    assert error.message == "a.b: is wrong; did you mean 'c'? (and 1 more)"
    assert error.violations == tuple(faults)
