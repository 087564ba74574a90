"""A scan of a whole slide, field by field, to a verdict."""

from lsm.diagnose.scan.cellfile import CellFile, read_cells
from lsm.diagnose.scan.config import FocusConfig, QualityConfig, RegionConfig, ScanConfig
from lsm.diagnose.scan.evidence import CellOdds, Reliability, reliability
from lsm.diagnose.scan.loop import Progress, ScanKit, scan_slide
from lsm.diagnose.scan.plan import ScanPlan, plan_scan
from lsm.diagnose.scan.quality import Fault
from lsm.diagnose.scan.result import Ending, ScanResult
from lsm.diagnose.scan.rule import Answer, Said, StoppingRule, SuspicionRule, Terms
from lsm.diagnose.scan.suspects import Suspect

__all__ = [
    "Answer",
    "CellFile",
    "CellOdds",
    "Ending",
    "Fault",
    "FocusConfig",
    "Progress",
    "QualityConfig",
    "RegionConfig",
    "Reliability",
    "Said",
    "ScanConfig",
    "ScanKit",
    "ScanPlan",
    "ScanResult",
    "StoppingRule",
    "Suspect",
    "SuspicionRule",
    "Terms",
    "plan_scan",
    "read_cells",
    "reliability",
    "scan_slide",
]
