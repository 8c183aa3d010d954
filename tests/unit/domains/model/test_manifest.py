"""model.yaml is checked key by key, and a fault says where it is and what would be right."""

import pytest

from processing_service.domains.model import manifest


def test_without_a_file_the_defaults_hold(tmp_path):
    """A model needs no model.yaml."""
    assert manifest.read(tmp_path / "model.yaml") == manifest.Manifest()


def test_an_unknown_key_is_answered_with_the_nearest():
    """A key that was mistyped is found, however deep it stands."""
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.parse("inputs: {x: {axes: {2: {multiple_off: 32}}}}")

    (violation,) = caught.value.violations
    assert (violation.field_path, violation.suggestion) == ("inputs.x.axes.2.multiple_off", "multiple_of")


@pytest.mark.parametrize(
    ("text", "field_path"),
    [
        pytest.param("device: 3", "device", id="type"),
        pytest.param("checksum: abc", "checksum", id="checksum"),
        pytest.param("intra_op_threads: -1", "intra_op_threads", id="threads"),
        pytest.param("max_parallel: -1", "max_parallel", id="parallel"),
        pytest.param("batching: {max_batch_size: 1}", "batching.max_batch_size", id="range"),
        pytest.param(
            "inputs: {x: {normalization: {std: [1, 0, 1]}}}", "inputs.x.normalization.std.1", id="zero divisor"
        ),
        pytest.param(
            "inputs: {x: {normalization: {channel_order: BRG}}}", "inputs.x.normalization.channel_order", id="order"
        ),
        pytest.param("a: [", "", id="no YAML"),
        pytest.param("- 1", "", id="no mapping"),
        pytest.param(b"\xff\xfe\x00", "", id="no text"),
    ],
)
def test_a_fault_is_named_by_its_path(text, field_path):
    """A value of the wrong type or range is a violation with its path."""
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.parse(text)

    assert [violation.field_path for violation in caught.value.violations] == [field_path]


def test_a_huge_file_is_refused(tmp_path):
    """model.yaml is small: ten megabytes of it are not parsed."""
    path = tmp_path / "model.yaml"
    path.write_bytes(b"#" * (manifest.MAX_BYTES + 1))

    with pytest.raises(manifest.ManifestError, match="larger"):
        manifest.read(path)
