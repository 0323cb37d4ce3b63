"""Load-tests a server: python scripts/serving_load.py MODEL PID IMAGE...

MODEL is the folder that `dca-keras export` wrote, served under its own name by
the process PID on this machine. For three minutes, four clients send the images
(the first must be a PNG) and, between them, requests that a server must refuse.
Prints the answers by kind and the server's memory over time, as JSON.
"""

import collections
import json
import os
import re
import sys
import threading
import time
from pathlib import Path

import tensorflow as tf

from dca_keras.export import load_saved_model
from serving_client import mask_by_rest

REST = os.environ.get("REST", "http://127.0.0.1:8501")
SECONDS, CLIENTS = 180, 4


def send(name, requests, number, counts, end):
    """Send request after request and count the answers by kind."""
    while time.monotonic() < end:
        data, expected = requests[number % len(requests)]
        number += CLIENTS + 1
        try:
            same = mask_by_rest(REST, name, data) == expected
            kind = "right" if same else "wrong"
        except ValueError as error:
            refused = str(error).startswith("400") and expected is None
            kind = "bad input refused" if refused else "failed"
        counts[kind] += 1


if __name__ == "__main__":
    model, pid, *images = sys.argv[1:]
    mask_png = load_saved_model(model).signatures["mask_png"]
    good = [Path(image).read_bytes() for image in images]
    huge = good[0][:16] + b"\0\0\x4e\x20" * 2 + good[0][24:]  # 20000x20000
    bad = [b"text, not an image" * 9, good[0][: len(good[0]) // 2], huge]
    requests = [(data, None) for data in bad]
    for data in good:
        answer = mask_png(image_bytes=tf.constant([data]))["mask_bytes"]
        requests.append((data, answer.numpy()[0]))
    end = time.monotonic() + SECONDS
    counts = collections.Counter(right=0, wrong=0, failed=0)
    for first in range(CLIENTS):
        given = (Path(model).name, requests, first, counts, end)
        threading.Thread(target=send, args=given).start()
    megabytes = []
    while time.monotonic() < end:
        status = Path(f"/proc/{pid}/status").read_text()
        megabytes.append(int(re.search(r"VmRSS:\s*(\d+)", status)[1]) // 1024)
        time.sleep(SECONDS / 12)
    print(json.dumps({**counts, "server_megabytes": megabytes}))
