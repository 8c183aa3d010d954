"""The settings of every concern, put together from defaults, a TOML file, the environment and flags."""

from processing_service.config.layers import DEFAULT_FILE, Given, from_environment, from_file
from processing_service.config.loading import Loaded, Setting, explain, load
from processing_service.config.settings import Settings

__all__ = [
    "DEFAULT_FILE",
    "Given",
    "Loaded",
    "Setting",
    "Settings",
    "explain",
    "from_environment",
    "from_file",
    "load",
]
