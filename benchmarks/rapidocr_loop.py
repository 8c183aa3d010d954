"""The peer that reads pages: RapidOCR as shipped, in an environment of its own.

Takes the path of an image a line, answers with a line of JSON: {"seconds", "lines": [{"text", "corners"}]}.
"""

import json
import sys
from time import perf_counter

from rapidocr import RapidOCR


def main() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # its own log goes elsewhere
    engine = RapidOCR()
    print("ready", file=answers, flush=True)
    for path in sys.stdin:
        started = perf_counter()
        found = engine(path.rstrip("\n"))
        seconds = perf_counter() - started
        pairs = zip(found.txts or (), [] if found.boxes is None else found.boxes.tolist(), strict=True)
        lines = [{"text": text, "corners": corners} for text, corners in pairs]
        print(json.dumps({"seconds": seconds, "lines": lines}), file=answers, flush=True)


if __name__ == "__main__":
    main()
