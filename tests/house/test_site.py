"""The documentation builds as a site without a warning, and needs nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_builds_strictly_and_reaches_for_nothing(tmp_path: Path):
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    start = (tmp_path / "site" / "start" / "index.html").read_text(encoding="utf-8")
    assert "ProceduralSmear" in re.sub(r"<[^>]+>", "", start)
    assert "thin_film_density" in (tmp_path / "site" / "reference" / "lsm.stats" / "index.html").read_text()
    assert (
        re.findall(r"""<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)=["']?(https?:[^"'\s>]+)""", start) == []
    )
