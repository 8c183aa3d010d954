from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.score import Line, read_truth, score_page
from examples.make_pages import make_pages

FOLDER = Path(__file__).parents[3] / "examples" / "pages"
PAGES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".png", ".jpg"))


def test_the_shipped_pages_are_small():
    """At least ten pages, three of them photographs, each below 400 KB, all below 3 MB."""
    sizes = [page.stat().st_size for page in PAGES]

    assert len(PAGES) >= 10
    assert sum(read_truth(page.with_suffix(".json")).kind == "photo" for page in PAGES) >= 3
    assert max(sizes) < 400_000
    assert sum(sizes) < 3_000_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_text_of_a_page_lies_on_it(page):
    """Each known line has a text, lies within the image and on ink; and no line lies under another's centre."""
    image, truth = cv2.imread(str(page), cv2.IMREAD_GRAYSCALE), read_truth(page.with_suffix(".json"))

    for line in truth.lines:
        corners = np.array(line.corners, np.float32)
        inside = np.zeros_like(image)
        cv2.fillPoly(inside, [corners.astype(np.int32)], 1)
        assert line.text.strip() == line.text != ""
        assert corners.min() >= 0
        assert (corners < image.shape[::-1]).all()
        assert np.ptp(image[inside == 1]) > 40
    assert score_page(truth, (Line(line.text, line.corners) for line in truth.lines)).edits == 0


@pytest.mark.slow
def test_the_shipped_pages_are_those_of_the_script(tmp_path):
    """The script's own seed gives the shipped texts and, to the eye, the shipped pictures."""
    make_pages(7, len(PAGES), tmp_path)

    for page in PAGES:
        assert (tmp_path / page.name).with_suffix(".json").read_bytes() == page.with_suffix(".json").read_bytes()
        shipped, made = cv2.imread(str(page)).astype(int), cv2.imread(str(tmp_path / page.name)).astype(int)
        assert np.abs(shipped - made).mean() < 1
