"""A disk that is really full stops a recording in one sentence, and nothing acknowledged is lost."""

import multiprocessing
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from lsm.errors import RecordError
from lsm.record import Recorder, hdf5, open_record
from lsm.record.verify import verify_record
from record.frames import decide, make_frame

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file sizes")


def record_until_refused(path: Path, limit_bytes: int, said: Connection) -> None:
    """Send the number of acknowledged frames and what the recorder says when a file may not grow further."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    recorder = Recorder(path, {"seed": 3})
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    acknowledged = 0
    try:
        while acknowledged < 500:
            acknowledged = recorder.add(make_frame(acknowledged), decide(acknowledged)) + 1
    except RecordError as error:
        recorder.close()
        said.send((acknowledged, str(error)))
        return
    said.send((acknowledged, "never refused"))


def check(path: Path, acknowledged: int) -> None:
    assert verify_record(path).faults == ()
    with open_record(path) as recording:
        assert acknowledged <= recording.n_frames <= acknowledged + 1
        for index, frame in enumerate(recording.frames()):
            assert np.array_equal(frame.image, make_frame(index).image)
            assert recording.decision(index) == decide(index)


# bytes at which the limit falls into the creation, the first frame, pixels, an index, or the journal
@pytest.mark.parametrize("limit_bytes", [3000, 17_000, 77_777, 140_000])
def test_a_write_that_the_system_refuses_ends_the_recording_cleanly(tmp_path: Path, limit_bytes: int):
    path = tmp_path / "record.h5"
    processes = multiprocessing.get_context("forkserver")
    heard, said = processes.Pipe(duplex=False)
    writer = processes.Process(target=record_until_refused, args=(path, limit_bytes, said), daemon=True)
    writer.start()
    said.close()
    acknowledged, message = heard.recv()
    writer.join()
    assert writer.exitcode == 0
    assert f"first {acknowledged} frames are safe" in message
    assert "file too large" in message
    check(path, acknowledged)
    with Recorder.resume(path) as recorder:
        first = recorder.n_frames
        assert recorder.add(make_frame(first), decide(first)) == first
    check(path, first + 1)


FILL = """
    import sys
    from pathlib import Path
    sys.path[:0] = {paths!r}
    from lsm.errors import RecordError
    from lsm.record import Recorder, hdf5
    from record import test_full_disk
    from record.frames import decide, make_frame

    hdf5.RESERVE_BYTES = {reserve}
    path = Path({folder!r}) / "record.h5"
    acknowledged = 0
    recorder = Recorder(path, {{"seed": 3}})
    try:
        while acknowledged < 5000:
            acknowledged = recorder.add(make_frame(acknowledged), decide(acknowledged)) + 1
    except RecordError as error:
        print(error)
    recorder.close()
    test_full_disk.check(path, acknowledged)
    print("acknowledged", acknowledged)
"""


@pytest.mark.parametrize(
    ("reserve", "size_mib", "told"),
    [(-(2**30), 2, "no space left on device"), (hdf5.RESERVE_BYTES, 9, "MiB left")],
    ids=["no reserve", "reserve"],
)
def test_a_full_file_system_loses_nothing(tmp_path: Path, reserve: int, size_mib: int, told: str):
    """A real file system of a few MiB, in a name space of its own, with the reserve and without it."""
    unshare = shutil.which("unshare")
    trial = [unshare or "unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if unshare is None or subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("this system lets no test mount a file system")
    program = tmp_path.parent / f"{tmp_path.name}.py"
    program.write_text(textwrap.dedent(FILL).format(paths=sys.path, reserve=reserve, folder=str(tmp_path)))
    shell = f'mount -t tmpfs -o size={size_mib}m tmpfs "{tmp_path}" && "{sys.executable}" "{program}"'
    done = subprocess.run([unshare, "-rm", "sh", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
    assert int(done.stdout.split()[-1]) > 50
