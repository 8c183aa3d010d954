import pytest

from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError


@pytest.mark.parametrize("field", ["max_pixels", "max_image_bytes", "max_result_bytes", "workers"])
def test_limits_are_at_least_one(field):
    """A limit of nothing would refuse everything."""
    with pytest.raises(CoordinatorError) as caught:
        PostprocessingSettings(**{field: 0})

    assert caught.value.violations[0].field_path == field


def test_the_largest_image_fits_a_message():
    """By default the pixels of any image that is taken fit a reply, and a channel."""
    limits = PostprocessingSettings()

    assert limits.max_pixels * 3 <= limits.max_result_bytes < 64 << 20
