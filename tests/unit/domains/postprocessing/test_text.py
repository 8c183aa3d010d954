import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.domains.postprocessing.text import collect_lines, ctc_decode
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array

SETTINGS = PostprocessingSettings()
CHARACTERS = "a\nb\nc"


def decode(*lines: list[int], characters: str = CHARACTERS, **fields: object) -> pb.CtcDecodeResult:
    indices = [from_array(np.array(line, np.int32)) for line in lines]
    return ctc_decode(pb.CtcDecodeOperation(class_indices=indices, characters=characters, **fields), SETTINGS)


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([1, 1, 0, 1, 2, 2], "aab"),
        ([0, 0, 0], ""),
        ([], ""),
        ([3, 4, 1], "c a"),
        ([3, 99, 1], "c a"),
        ([2, 0, 0, 2], "bb"),
    ],
)
def test_repeats_then_blanks_are_dropped(steps, text):
    """The best path becomes text; a class behind the last character is a space."""
    assert list(decode(steps).texts) == [text]


def test_confidence_is_the_mean_of_the_kept_steps():
    """Repeats and blanks do not count; an empty text has 0; without probabilities it is 1."""
    probabilities = [from_array(np.array(line, np.float32)) for line in ([0.9, 0.1, 0.2, 0.7], [0.5])]

    result = decode([1, 1, 0, 2], [0], probabilities=probabilities)

    assert list(result.confidences) == [pytest.approx(0.8), 0]
    assert list(decode([1]).confidences) == [1]


def test_confidence_of_no_numbers_is_no_number():
    """Infinities and NaN among the probabilities end in NaN, not in a failure."""
    odd = from_array(np.array([np.inf, -np.inf], np.float32))

    assert np.isnan(decode([1, 2], probabilities=[odd]).confidences[0])


def test_batches_of_one_and_wide_integers_are_taken():
    """[1, steps] of INT64 is what a model's argmax gives."""
    tensor = from_array(np.array([[1, 2]], np.int64))

    assert ctc_decode(pb.CtcDecodeOperation(class_indices=[tensor], characters=CHARACTERS), SETTINGS).texts == ["ab"]


@pytest.mark.parametrize(
    "indices",
    [np.array([[1], [2]], np.int32), np.array([1.0], np.float32), np.array([-1], np.int32), np.array(1, np.int32)],
)
def test_steps_are_one_row_of_classes(indices):
    """Other shapes, other types and negative classes are refused."""
    with pytest.raises(CoordinatorError) as caught:
        ctc_decode(pb.CtcDecodeOperation(class_indices=[from_array(indices)], characters=CHARACTERS), SETTINGS)

    assert caught.value.reason == ErrorReason.ERROR_REASON_TENSOR_INVALID


def test_probabilities_fit_the_classes():
    """A line more or less, or a step more or less, is refused."""
    one, two = from_array(np.ones(1, np.float32)), from_array(np.ones(2, np.float32))

    for probabilities in ([one, one], [two]):
        with pytest.raises(CoordinatorError):
            decode([1], probabilities=probabilities)


@given(st.text("ab", max_size=20))
def test_any_text_survives_its_own_path(text):
    """A blank between all characters spells them, doubled ones too."""
    path = [c for character in text for c in (0, "ab".index(character) + 1)]

    assert list(decode(path).texts) == [text]


def region(x: float) -> pb.Region:
    return pb.Region(corners=[pb.Point(x=x + i, y=i) for i in range(4)], score=0.5)


def collect(**fields: object) -> pb.CollectLinesResult:
    operation = {
        "regions": [region(0), region(1), region(2)],
        "texts": ["one", "", "three"],
        "confidences": [0.9, 0, 0.4],
    }
    return collect_lines(pb.CollectLinesOperation(**{**operation, **fields}), SETTINGS)


def test_lines_join_regions_and_texts():
    """Empty texts are left out, the order stays, the text has a line each."""
    result = collect()

    assert [(line.text, line.region.corners[0].x) for line in result.lines] == [("one", 0), ("three", 2)]
    assert result.text == "one\nthree"


def test_unsure_lines_are_left_out():
    """Lines below min_confidence are dropped."""
    assert collect(min_confidence=0.5).text == "one"


def test_a_page_on_its_head_is_read_from_its_end():
    """The last line comes first, and each region's corners start where its text starts."""
    result = collect(upside_down=True)

    assert result.text == "three\none"
    assert [corner.x for corner in result.lines[1].region.corners] == [2, 3, 0, 1]
    assert result.lines[1].region.score == 0.5


@pytest.mark.parametrize("fields", [{"texts": ["one"]}, {"confidences": []}, {"min_confidence": 2}])
def test_each_region_has_a_text_and_a_confidence(fields):
    """Each refusal names its field."""
    with pytest.raises(CoordinatorError) as caught:
        collect(**fields)

    assert caught.value.violations[0].field_path == f"collect_lines.{next(iter(fields))}"
