"""The end of a campaign: its figures, with the machine and the commit that they are of."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsm.bench.machine import this_machine


def tell(figures: Mapping[str, Any], path: Path | None) -> None:
    """Print figures and this machine as JSON, and write the same to `path`."""
    text = json.dumps({"machine": asdict(this_machine()), **figures}, indent=1)
    print(text)
    if path is not None:
        path.write_text(text + "\n", encoding="utf-8")
