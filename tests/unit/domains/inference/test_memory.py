"""The memory of the process goes back where it is free."""

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import sys
import threading
from processing_service.domains.inference.memory import resident_bytes, share_arenas
if sys.argv[1] == "shared":
    share_arenas()
ready, end = threading.Barrier(17), threading.Event()
def hold():
    blocks = [bytearray(1000) for _ in range(10)]
    ready.wait()
    end.wait()
for _ in range(16):
    threading.Thread(target=hold, daemon=True).start()
ready.wait()
heaps = sum(1 for line in open("/proc/self/maps") if line.split()[1] == "---p" and len(line.split()) == 5)
print(heaps)
end.set()
"""


def heaps(how):
    return int(subprocess.run([sys.executable, "-c", _SCRIPT, how], check=True, capture_output=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_their_heaps():
    """Sixteen threads that allocate reserve fewer heaps than where each may have its own."""
    assert heaps("shared") < heaps("own")
