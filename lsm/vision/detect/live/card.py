"""What an exported detector says about itself."""

import json
from typing import Final, Literal

from pydantic import ValidationError

from lsm.config import Config
from lsm.errors import WrongFormat
from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.grid import GridConfig

CARD: Final = "lsm"
"""Name of the entry in a file's metadata."""


class LiveCard(Config):
    """Kept as JSON in the exported file.

    thresholds: by category, the least score that is counted. weights: SHA-256 of the weights exported.
    """

    format: Literal["lsm live detector 1"] = "lsm live detector 1"
    model: GridConfig
    facts: DataFacts
    thresholds: tuple[float, ...]
    weights: str

    @classmethod
    def of_text(cls, text: str | None, source: str) -> "LiveCard":
        """The card in a file's metadata. Raises WrongFormat where there is none or it is damaged."""
        if not text:
            raise WrongFormat(f"{source} is no exported detector.", hint="export one with export_onnx")
        try:
            card = cls.model_validate(json.loads(text))
        except (ValidationError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise WrongFormat(f"{source} is a damaged detector: {first}.", hint="export it again") from error
        if len(card.thresholds) != len(card.facts.categories):
            raise WrongFormat(
                f"{source} has {len(card.thresholds)} thresholds for {len(card.facts.categories)} categories.",
                hint="export it again",
            )
        return card
