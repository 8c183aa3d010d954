"""Searches for garbage in a process that serves."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

_SCRIPT: Final = """
import gc
from processing_service.server.garbage import spare_search

spare_search()
assert gc.get_freeze_count() > 1000, gc.get_freeze_count()
assert gc.get_threshold()[0] == 5000, gc.get_threshold()

class Node: pass
node = Node()
node.itself = node  # only a search finds it
del node
assert gc.collect() > 0
print("spared")
"""


def test_what_is_there_is_spared_and_new_cycles_are_found() -> None:
    ended = subprocess.run([sys.executable, "-c", _SCRIPT], check=True, capture_output=True, text=True)
    assert ended.stdout == "spared\n"
