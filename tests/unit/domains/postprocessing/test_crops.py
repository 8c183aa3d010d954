import cv2
import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.crops import crop, select_crops
from processing_service.domains.postprocessing.regions import to_region
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array, to_array

SETTINGS = PostprocessingSettings()
IMAGE = cv2.GaussianBlur(np.random.default_rng(6).integers(0, 255, (120, 200, 3), dtype=np.uint8), (0, 0), 4)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def cut(*quads: np.ndarray, image: np.ndarray = IMAGE, **fields: int) -> list[np.ndarray]:
    regions = [to_region(quad, 1) for quad in quads]
    result = crop(pb.CropOperation(image=from_array(image), regions=regions, **fields), SETTINGS)
    return [to_array(tensor, "crop") for tensor in result.crops]


def test_a_level_region_is_a_slice():
    """Sides parallel to the image's give the very pixels."""
    assert np.array_equal(cut(box(20, 30, 120, 50))[0], IMAGE[30:50, 20:120])


def test_a_slanted_region_is_straightened():
    """A region of a turned page shows what it showed before the turn."""
    matrix = cv2.getRotationMatrix2D((100, 60), 7, 1)
    turned = cv2.warpAffine(IMAGE, matrix, (200, 120))
    quad = cv2.transform(box(60, 50, 140, 70)[np.newaxis], matrix)[0]

    (piece,) = cut(quad, image=turned)

    assert piece.shape == (20, 80, 3)
    assert np.abs(piece.astype(int) - IMAGE[50:70, 60:140]).mean() < 3


def test_a_tall_region_is_laid_on_its_side():
    """Text that runs down comes out running right: the crop is turned counterclockwise."""
    (piece,) = cut(box(20, 10, 40, 110))

    expected = np.rot90(IMAGE[10:110, 20:40])
    assert piece.shape == expected.shape
    assert np.abs(piece.astype(int) - expected).mean() < 3


def test_crops_get_one_height_and_padded_widths():
    """Height 48, width in proportion, rounded up to the multiple with grey."""
    (piece,) = cut(box(20, 30, 120, 54), height=48, width_multiple=32)

    assert piece.shape == (48, 224, 3)
    assert (piece[:, 200:] == 127).all()
    assert (piece[:, 199] != 127).any()


def test_a_sample_is_of_the_regions_nearest_to_5_to_1():
    """The others are not cut; the order of the regions is kept."""
    quads = box(0, 0, 20, 20), box(0, 30, 120, 50), box(50, 0, 70, 100), box(0, 60, 40, 80), box(0, 90, 199, 92)

    pieces = cut(*quads, sample_count=2)

    assert [piece.shape[:2] for piece in pieces] == [(20, 120), (20, 100)]
    assert len(cut(*quads, sample_count=9)) == 5


def test_a_long_crop_is_squeezed():
    """Above max_width only the width shrinks."""
    (piece,) = cut(box(0, 30, 200, 50), height=48, max_width=100)

    assert piece.shape == (48, 100, 3)


def test_a_page_on_its_head_gives_upright_crops():
    """upside_down turns each crop by 180 degrees before grey is added."""
    upright, turned = cut(box(20, 30, 120, 50), width_multiple=64), None
    turned = cut(box(20, 30, 120, 50), width_multiple=64, upside_down=True)

    assert np.array_equal(turned[0][:, :100], upright[0][::-1, :100][:, ::-1])
    assert (turned[0][:, 100:] == 127).all()


@pytest.mark.parametrize(
    "quad",
    [box(-50, -20, 250, 200), box(500, 500, 600, 520), np.zeros((4, 2), np.float32), box(120, 50, 20, 30)],
)
def test_regions_outside_the_image_have_an_answer(quad):
    """A region beyond the edges, of no area or turned round gives a crop all the same."""
    (piece,) = cut(quad, height=48)

    assert piece.shape[0] == 48


@pytest.mark.parametrize(
    ("quad", "fields", "reason"),
    [
        (box(0, 0, 1e6, 1), {"height": 48}, ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE),
        (box(0, 0, 1e6, 1e6), {}, ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE),
        (box(0, 0, 9, 9), {"height": -1}, ErrorReason.ERROR_REASON_FIELD_INVALID),
        (box(0, 0, 9, 9), {"width_multiple": 10**6}, ErrorReason.ERROR_REASON_FIELD_INVALID),
    ],
)
def test_crops_are_bounded(quad, fields, reason):
    """Giant crops are refused before memory is taken."""
    with pytest.raises(CoordinatorError) as caught:
        cut(quad, **fields)

    assert caught.value.reason == reason


def test_all_crops_together_fit_a_message():
    """The sum of the crops is bounded too."""
    regions = [to_region(box(0, 0, 100, 20), 1)] * 3
    with pytest.raises(CoordinatorError) as caught:
        crop(
            pb.CropOperation(image=from_array(IMAGE), regions=regions), PostprocessingSettings(max_result_bytes=17_999)
        )

    assert caught.value.reason == ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE


def select(*sizes: tuple[int, int], **fields: float) -> list[np.ndarray]:
    crops = [from_array(np.full((height, width, 3), width % 251, np.uint8)) for height, width in sizes]
    result = select_crops(pb.SelectCropsOperation(crops=crops, **fields), SETTINGS)
    return [to_array(tensor, "crop") for tensor in result.crops]


def test_crops_nearest_to_the_shape_are_picked():
    """By default six of about 5:1, cut to four heights, all 192 x 48."""
    picked = select((48, 48), (48, 240), (48, 960), *[(48, 230 + i) for i in range(6)], (10, 49))

    assert len(picked) == 6
    assert {piece.shape for piece in picked} == {(48, 192, 3)}
    assert picked[0][0, 0, 0] == 240


def test_a_short_crop_keeps_its_proportions():
    """What is shorter than the width is filled with grey."""
    (piece,) = select((48, 96))

    assert (piece[:, :96] == 96).all()
    assert (piece[:, 96:] == 127).all()


def test_no_crops_give_none():
    """A page without regions has no crops to vote on."""
    assert select() == []


def test_a_selection_has_bounds():
    """Each refusal names its field."""
    with pytest.raises(CoordinatorError) as caught:
        select((48, 96), aspect_ratio=-1)

    assert caught.value.violations[0].field_path == "select_crops.aspect_ratio"
