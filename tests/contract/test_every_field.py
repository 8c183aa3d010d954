"""What the checks of other languages rest on."""

from google.protobuf.descriptor import Descriptor

from tests.contract.every_field import messages, samples


def test_the_samples_leave_no_field_out() -> None:
    """Together the samples of a message set each of its fields, in every message of the contract."""
    for descriptor in messages():
        present = {field.name for message in samples(descriptor) for field, _ in message.ListFields()}
        assert present == {field.name for field in descriptor.fields}, descriptor.full_name


def test_no_two_fields_of_a_sample_have_one_value() -> None:
    """A field that was taken for another one shows, because numbers, text and bytes are all different."""
    for descriptor in messages():
        for message in samples(descriptor):
            values = [value for _, value in message.ListFields() if isinstance(value, str | bytes | float)]
            assert len(values) == len(set(values)), descriptor.full_name


def test_the_contract_is_not_small() -> None:
    """The messages are found at all, also those of files without a service."""
    names: list[Descriptor] = messages()

    assert {"coordinator.error.v1.Failure", "coordinator.journal.v1.Record"} <= {name.full_name for name in names}
