"""A client that takes frames as fast as they come, decodes none of them, and counts.

    python -m lsm.console.counter "ws://127.0.0.1:8765/api/frames?side_px=440" 10

prints how many came in so many seconds.
"""

import sys
import time

from websockets.sync.client import connect

ANSWER = "n"
SLACK_S = 0.2
"""Between two looks at the clock."""


def count_frames(url: str, seconds: float) -> int:
    """Frames that came in this time."""
    count, ends_s = 0, time.monotonic() + seconds
    with connect(url, max_size=None, compression=None) as socket:
        while time.monotonic() < ends_s:
            try:
                socket.recv(timeout=SLACK_S)
            except TimeoutError:
                continue
            count += 1
            socket.send(ANSWER)
    return count


if __name__ == "__main__":
    print(count_frames(sys.argv[1], float(sys.argv[2])))
