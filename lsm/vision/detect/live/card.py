"""What an exported detector says about itself."""

import hashlib
import json
from typing import Final, Literal

from pydantic import ValidationError

from lsm.config import Config
from lsm.errors import WrongFormat
from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.grid import GridConfig

CARD: Final = "lsm"
"""Name of the entry in a file's metadata."""

UNSEALED: Final = "0" * 64
"""In place of the digest while it is computed."""

_AGAIN: Final = "export it again"


class LiveCard(Config):
    """Kept as JSON in the exported file.

    thresholds: by category, the least score that is counted. weights: SHA-256 of the weights exported.
    contents: SHA-256 of the whole exported file, with zeros in place of this digest; see `sealed`.
    """

    format: Literal["lsm live detector 2"] = "lsm live detector 2"
    model: GridConfig
    facts: DataFacts
    thresholds: tuple[float, ...]
    weights: str
    contents: str = UNSEALED

    @classmethod
    def of_text(cls, text: str | None, source: str) -> "LiveCard":
        """The card in a file's metadata. Raises WrongFormat where there is none or it is damaged."""
        if not text:
            raise WrongFormat(f"{source} is no exported detector.", hint="export one with export_onnx")
        try:
            card = cls.model_validate(json.loads(text))
        except (ValidationError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise WrongFormat(f"{source} is a damaged detector: {first}.", hint=_AGAIN) from error
        if len(card.thresholds) != len(card.facts.categories):
            raise WrongFormat(
                f"{source} has {len(card.thresholds)} thresholds for {len(card.facts.categories)} categories.",
                hint=_AGAIN,
            )
        return card

    def check(self, content: bytes, source: str) -> None:
        """Raise WrongFormat where the content is not the one that was sealed with this card."""
        blank = content.replace(self.contents.encode(), UNSEALED.encode())
        if self.contents == UNSEALED or hashlib.sha256(blank).hexdigest() != self.contents:
            raise WrongFormat(f"{source} is damaged: its contents are not those that were exported.", hint=_AGAIN)


def sealed(content: bytes, card: LiveCard) -> tuple[bytes, LiveCard]:
    """A file's content and its card, which says `UNSEALED`, with the digest there."""
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(UNSEALED.encode(), digest.encode()), card.model_copy(update={"contents": digest})
