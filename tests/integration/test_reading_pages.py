"""The shipped pages, read by the postprocessing operations around the real models, without servers between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
import pytest
from coordinator.payload.v1.payload_pb2 import Tensor
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from benchmarks.score import Line, Score, read_truth, score_page
from processing_service.domains.postprocessing.registry import OPERATIONS
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.tensors import from_array, to_array

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(path for path in (REPOSITORY / "examples" / "pages").iterdir() if path.suffix in (".png", ".jpg"))
SETTINGS = PostprocessingSettings()


def run(name: str, operation: Any) -> Any:
    return OPERATIONS[name].run(operation, SETTINGS)


def load(folder: Path, name: str) -> Callable[[Tensor], list[np.ndarray]]:
    """A model as the inference service runs it: UINT8 red, green, blue in, scaled to -1..1, channels first."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
    (model_input,) = session.get_inputs()

    def infer(image: Tensor) -> list[np.ndarray]:
        pixels = to_array(image, "image")[:, :, ::-1].astype(np.float32) / 127.5 - 1
        return session.run(None, {model_input.name: np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])})

    infer.characters = session.get_modelmeta().custom_metadata_map.get("character", "")
    return infer


class Reader:
    """The steps of the workflow `read-text`."""

    def __init__(self, models: Path) -> None:
        self.detect = load(models, "PP-OCRv6_det_small.onnx")
        self.recognize = load(models, "PP-OCRv6_rec_small.onnx")
        self.classify = load(models, "ch_ppocr_mobile_v2.0_cls_mobile.onnx")

    def read(self, file: bytes) -> tuple[Tensor, pb.CollectLinesResult, bool]:
        image = run("decode", pb.DecodeOperation(image_bytes=file)).image
        small = run("resize", pb.ResizeOperation(image=image, max_side=960, multiple_of=32))
        probability_map = from_array((self.detect(small.image)[0] * 255).astype(np.uint8))
        detection = pb.DetectRegionsOperation(
            probability_map=probability_map, unclip_ratio=1.8, scale_x=small.scale_x, scale_y=small.scale_y
        )
        regions = run("detect_regions", detection).regions
        upside_down = self.vote(image, regions)
        cut = pb.CropOperation(image=image, regions=regions, height=48, width_multiple=16, upside_down=upside_down)
        classes, probabilities = [], []
        for crop in run("crop", cut).crops:
            scores = self.recognize(crop)[0][0]
            classes.append(from_array(scores.argmax(axis=1).astype(np.int32)))
            probabilities.append(from_array(scores.max(axis=1)))
        decoding = pb.CtcDecodeOperation(
            class_indices=classes, probabilities=probabilities, characters=self.recognize.characters
        )
        decoded = run("ctc_decode", decoding)
        collecting = pb.CollectLinesOperation(
            regions=regions,
            texts=decoded.texts,
            confidences=decoded.confidences,
            min_confidence=0.5,
            upside_down=upside_down,
        )
        return image, run("collect_lines", collecting), upside_down

    def vote(self, image: Tensor, regions: Any) -> bool:
        crops = run("crop", pb.CropOperation(image=image, regions=regions, height=48, sample_count=6)).crops
        selected = run("select_crops", pb.SelectCropsOperation(crops=crops)).crops
        scores = [from_array(self.classify(crop)[0]) for crop in selected]
        return run("vote", pb.VoteOperation(scores=scores, class_index=1)).won


def to_lines(result: pb.CollectLinesResult) -> Iterator[Line]:
    for line in result.lines:
        yield Line(line.text, [(corner.x, corner.y) for corner in line.region.corners])


@pytest.fixture(scope="module")
def reader(model_packages: Path) -> Reader:
    return Reader(model_packages / "rapidocr" / "models")


@pytest.mark.slow
def test_the_shipped_pages_are_read(reader):
    """Rendered pages have at most 0.3 % wrong characters, photographs 1 %; no line is missed or out of order."""
    totals = {"rendered": Score(), "photo": Score()}
    for page in PAGES:
        truth = read_truth(page.with_suffix(".json"))
        _, result, upside_down = reader.read(page.read_bytes())
        totals[truth.kind] += score_page(truth, to_lines(result))
        assert upside_down == page.stem.endswith("turned")
        texts = [line.text for line in truth.lines]
        once = [text for text in result.text.splitlines() if texts.count(text) == 1]
        assert once == sorted(once, key=texts.index)
        assert result.text.splitlines()[-1] == texts[-1]

    assert totals["rendered"].error_rate <= 0.003
    assert totals["photo"].error_rate <= 0.01
    assert totals["rendered"].missed == totals["photo"].missed == 0
