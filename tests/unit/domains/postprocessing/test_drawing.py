import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.drawing import annotate
from processing_service.domains.postprocessing.regions import to_region
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array, to_array

SETTINGS = PostprocessingSettings()
PAGE = np.full((100, 300, 3), 220, np.uint8)
LEVEL = np.array([(20, 20), (280, 20), (280, 50), (20, 50)], np.float32)
SLANTED = np.array([(20, 60), (280, 50), (282, 80), (22, 90)], np.float32)


def picture(*quads: np.ndarray, limits: PostprocessingSettings = SETTINGS, **fields: object) -> np.ndarray:
    regions = [to_region(quad, 1) for quad in quads]
    return to_array(
        annotate(pb.AnnotateOperation(image=from_array(PAGE), regions=regions, **fields), limits).image, "image"
    )


def test_regions_are_outlined():
    """Only the outline differs from the page."""
    drawn = picture(LEVEL)

    assert drawn.shape == PAGE.shape
    assert (drawn[20, 100] != 220).any()
    assert (drawn[35, 100] == 220).all()


@pytest.mark.parametrize("text", ["Größe 123", "Ελληνικά", "Кириллица", "中文字符", "a\nb\x00c", "x" * 5000])
@pytest.mark.parametrize("quad", [LEVEL, SLANTED])
def test_texts_stand_beside_the_page(text, quad):
    """White paper to the right has the text inside its region and nothing outside, in any script, however long."""
    paper = picture(quad, texts=[text])[:, 300:].copy()

    assert paper.shape == PAGE.shape
    dark = np.argwhere(paper.max(axis=2) < 190)
    assert dark[:, 0].min() >= quad[:, 1].min() - 1
    assert dark[:, 0].max() <= quad[:, 1].max() + 1


def test_unsure_regions_have_another_colour():
    """Below low_confidence the outline is red rather than green."""
    sure, unsure = (picture(LEVEL, confidences=[value], low_confidence=0.5)[20, 100] for value in (0.9, 0.1))

    assert sure[1] > sure[0]
    assert unsure[0] > unsure[1]


@pytest.mark.parametrize(
    "quad",
    [np.zeros((4, 2), np.float32), LEVEL - 1e5, LEVEL * 1e3, LEVEL[[0, 3, 2, 1]], np.full((4, 2), 299.0, np.float32)],
)
def test_regions_beyond_the_page_have_an_answer(quad):
    """Regions of no area, off the page or larger than it do no harm."""
    assert picture(quad, texts=["text"]).shape == (100, 600, 3)


@pytest.mark.parametrize("fields", [{"texts": ["a", "b"]}, {"confidences": [1, 1]}])
def test_each_region_has_a_text_or_none_has(fields):
    """Each refusal names its field."""
    with pytest.raises(CoordinatorError) as caught:
        picture(LEVEL, **fields)

    assert caught.value.violations[0].field_path == f"annotate.{next(iter(fields))}"


def test_the_picture_is_bounded():
    """Twice the width counts."""
    with pytest.raises(CoordinatorError) as caught:
        picture(LEVEL, texts=["a"], limits=PostprocessingSettings(max_pixels=59_999))

    assert caught.value.reason == ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE
