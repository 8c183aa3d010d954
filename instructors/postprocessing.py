"""The Postprocessing domain: its operations are pure, so nothing of it is special but its name."""

from __future__ import annotations

from instructors.base import BaseInstructor


class PostprocessingInstructor(BaseInstructor):
    """Calls the Postprocessing domain."""
