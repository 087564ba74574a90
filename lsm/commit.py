"""The state of the source that runs."""

import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def source_commit() -> str:
    """The commit, with -dirty where files were changed since; 'unknown' where git does not tell.

    It is asked once: what was imported stays while the folder goes on.
    """
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
