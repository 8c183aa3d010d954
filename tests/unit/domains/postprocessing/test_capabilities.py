from processing_service.domains.postprocessing.capabilities import describe
from processing_service.domains.postprocessing.registry import OPERATIONS
from processing_service.domains.postprocessing.settings import PostprocessingSettings

REPLY = describe(PostprocessingSettings(max_pixels=7, max_image_bytes=8))
BY_NAME = {operation.name: operation for operation in REPLY.operations}


def test_all_operations_are_listed_with_the_limits():
    """By name, none left out."""
    assert list(BY_NAME) == sorted(OPERATIONS)
    assert (REPLY.max_pixels, REPLY.max_image_bytes) == (7, 8)


def test_everything_is_described():
    """Each operation and each parameter has the words of the contract."""
    for operation in REPLY.operations:
        assert operation.description
        assert all(parameter.description for parameter in operation.parameters)


def test_types_are_spelled_as_in_the_contract():
    """Scalars, messages, enums and lists have the names that a .proto file gives them."""
    types = {parameter.name: parameter.type_name for parameter in BY_NAME["crop"].parameters}

    assert types["image"] == "coordinator.payload.v1.Tensor"
    assert types["regions"] == "repeated coordinator.postprocessing.v1.Region"
    assert (types["height"], types["upside_down"]) == ("int32", "bool")
    assert BY_NAME["crop"].result_type_name == "coordinator.postprocessing.v1.CropResult"
    assert BY_NAME["resize"].parameters[-1].type_name == "coordinator.postprocessing.v1.Interpolation"
