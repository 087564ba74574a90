"""What is wrong, or doubtful, in annotated images."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """ERROR: a result would be wrong. WARNING: somebody should look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One fault: a sentence for people, and for machines its kind and the images it is in.

    kind: such as "degenerate-box"; the same fault has the same kind in every format.
    images: names of the images, or files where a name could not be had.
    """

    severity: Severity
    kind: str
    message: str
    hint: str
    images: tuple[str, ...] = ()

    def as_table(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self) | {"severity": str(self.severity), "images": list(self.images)}


Tell = Callable[[Finding], None]


def tell_nobody(finding: Finding) -> None:
    """A listener for findings that does not listen."""
    del finding


def error(kind: str, message: str, hint: str, *images: str) -> Finding:
    """A finding that makes results wrong."""
    return Finding(Severity.ERROR, kind, message, hint, images)


def warning(kind: str, message: str, hint: str, *images: str) -> Finding:
    """A finding to look at."""
    return Finding(Severity.WARNING, kind, message, hint, images)
