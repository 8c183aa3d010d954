import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from processing_service.domains.postprocessing.classification import softmax, top_k, vote
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array, to_array

SETTINGS = PostprocessingSettings()


def probabilities(values: np.ndarray, **fields: int) -> np.ndarray:
    return to_array(softmax(pb.SoftmaxOperation(tensor=from_array(values), **fields), SETTINGS).tensor, "tensor")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_sum_to_one(dtype):
    """Along the last axis by default, in the type that came; large values do not overflow."""
    result = probabilities(np.array([[1, 2, 3], [1000, 1000, -1000]], dtype))

    assert result.dtype == dtype
    np.testing.assert_allclose(result, [[0.0900, 0.2447, 0.6652], [0.5, 0.5, 0]], atol=1e-4)


def test_the_axis_can_be_chosen():
    """Axis 0 is an axis, not unset."""
    np.testing.assert_allclose(probabilities(np.zeros((2, 5), np.float32), axis=0), np.full((2, 5), 0.5))


@pytest.mark.parametrize(
    ("values", "fields", "reason"),
    [
        (np.zeros(3, np.int32), {}, ErrorReason.ERROR_REASON_TENSOR_INVALID),
        (np.zeros((0, 3), np.float32), {}, ErrorReason.ERROR_REASON_TENSOR_INVALID),
        (np.float32(1), {}, ErrorReason.ERROR_REASON_TENSOR_INVALID),
        (np.zeros(3, np.float32), {"axis": 1}, ErrorReason.ERROR_REASON_FIELD_INVALID),
        (np.zeros(3, np.float32), {"axis": -2}, ErrorReason.ERROR_REASON_FIELD_INVALID),
    ],
)
def test_softmax_takes_numbers_along_an_axis(values, fields, reason):
    """Other types, no elements and other axes are refused."""
    with pytest.raises(CoordinatorError) as caught:
        probabilities(np.asarray(values), **fields)

    assert caught.value.reason == reason


def best(values: np.ndarray, **fields: object) -> list[tuple[int, str, float]]:
    result = top_k(pb.TopKOperation(tensor=from_array(values), **fields), SETTINGS)
    return [(c.class_index, c.label, c.score) for c in result.classifications]


def test_the_largest_values_come_first():
    """Five by default, equal ones by index, unsigned ones too; labels go by index and may be few."""
    values = np.array([3, 9, 1, 9, 0, 2, 7], np.uint8)

    assert best(values, labels=["zero", "one"]) == [(1, "one", 9), (3, "", 9), (6, "", 7), (0, "zero", 3), (5, "", 2)]
    assert best(values, top_k=1) == [(1, "", 9)]
    assert len(best(values, top_k=100)) == 7


def test_not_a_number_comes_last():
    """NaN is never the best class."""
    signalling = np.array([0x7F807F80, 0, 0], np.uint32).view(np.float32)

    for nan in (np.array([np.nan, 0, 0], np.float32), signalling):
        assert [index for index, *_ in best(nan)] == [1, 2, 0]


@given(st.lists(st.integers(-1000, 1000), max_size=30), st.integers(1, 40))
def test_top_k_is_a_sorted_head(values, count):
    """The scores are the head of the sorted values."""
    scores = [score for *_, score in best(np.array(values, np.int32), top_k=count)]

    assert scores == sorted(values, reverse=True)[:count]


def poll(*scores: list[float], **fields: float) -> tuple[bool, int, int]:
    tensors = [from_array(np.array([voter], np.float32)) for voter in scores]
    result = vote(pb.VoteOperation(scores=tensors, class_index=1, **fields), SETTINGS)
    return result.won, result.yes_count, result.voter_count


def test_more_than_half_win():
    """A tie is lost, and so is a vote without voters."""
    assert poll([0.1, 0.9], [0.2, 0.8], [0.9, 0.1]) == (True, 2, 3)
    assert poll([0.1, 0.9], [0.9, 0.1]) == (False, 1, 2)
    assert poll() == (False, 0, 0)


def test_threshold_and_majority_can_be_set():
    """A stricter voter, and a larger share."""
    assert poll([0.3, 0.7], threshold=0.8) == (False, 0, 1)
    assert poll([0.1, 0.9], [0.2, 0.8], [0.9, 0.1], majority=0.7) == (False, 2, 3)


def test_a_vote_has_bounds():
    """A class that a voter does not know, and a share above one, are refused."""
    with pytest.raises(CoordinatorError) as unknown:
        poll([0.5])
    with pytest.raises(CoordinatorError) as share:
        poll([0.1, 0.9], majority=1.5)

    assert unknown.value.violations[0].field_path == "vote.class_index"
    assert share.value.violations[0].field_path == "vote.majority"
