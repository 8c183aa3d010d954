import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.enhancement import enhance, upscale
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array, to_array

SETTINGS = PostprocessingSettings()


def ramp(low: int, high: int) -> np.ndarray:
    row = np.linspace(low, high, 64).astype(np.uint8)
    return np.repeat(np.tile(row, (64, 1))[:, :, np.newaxis], 3, axis=2)


def enhanced(image: np.ndarray, **fields: float) -> np.ndarray:
    return to_array(enhance(pb.EnhanceOperation(image=from_array(image), **fields), SETTINGS).image, "image")


@pytest.mark.parametrize(("factor", "side"), [(0, 128), (1.5, 96), (8, 512)])
def test_images_are_enlarged(factor, side):
    """Both sides grow by the factor, by default 2, and a ramp stays a ramp."""
    result = upscale(pb.UpscaleOperation(image=from_array(ramp(10, 240)), factor=factor), SETTINGS)

    pixels = to_array(result.image, "image").astype(int)
    assert pixels.shape == (side, side, 3)
    assert np.diff(pixels[side // 2, :, 0]).min() >= -1


@pytest.mark.parametrize("factor", [0.5, 8.1, float("nan")])
def test_a_factor_is_within_one_and_eight(factor):
    """Smaller, larger and NaN are refused."""
    with pytest.raises(CoordinatorError) as caught:
        upscale(pb.UpscaleOperation(image=from_array(ramp(0, 9)), factor=factor), SETTINGS)

    assert caught.value.violations[0].field_path == "upscale.factor"


def test_an_enlarged_image_is_bounded():
    """What would have too many pixels is refused before it is made."""
    with pytest.raises(CoordinatorError) as caught:
        upscale(pb.UpscaleOperation(image=from_array(ramp(0, 9))), PostprocessingSettings(max_pixels=128 * 128 - 1))

    assert caught.value.reason == ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE


def test_nothing_asked_changes_nothing():
    """Zero turns each part off."""
    image = ramp(0, 255)

    assert np.array_equal(enhanced(image), image)


def test_contrast_spreads_brightness():
    """A dim ramp covers a wider range after it."""
    dim = ramp(100, 130)

    clear = enhanced(dim, contrast=4)

    assert np.ptp(clear) > np.ptp(dim)


def test_denoising_removes_specks():
    """A lone dark pixel is gone, the rest is as it was."""
    speck = np.full((32, 32, 3), 250, np.uint8)
    speck[16, 16] = 0

    assert enhanced(speck, denoise=1).min() == 250


def test_sharpness_steepens_edges():
    """The dark side of an edge gets darker, the bright side brighter."""
    edge = np.full((32, 32, 3), 80, np.uint8)
    edge[:, 16:] = 170

    sharp = enhanced(edge, sharpness=1)

    assert sharp.min() < 80
    assert sharp.max() > 170


@pytest.mark.parametrize("fields", [{"contrast": -1}, {"sharpness": float("inf")}, {"denoise": 5}])
def test_weights_have_bounds(fields):
    """Each refusal names its field."""
    with pytest.raises(CoordinatorError) as caught:
        enhanced(ramp(0, 9), **fields)

    assert caught.value.violations[0].field_path == f"enhance.{next(iter(fields))}"
