"""The invented world of these tests: a weak and a strong pattern."""

from lsm.agent.synthetic import SyntheticConfig

TWO_PATTERNS = SyntheticConfig(separation=(0.8, 2.2), cells=30.0, empty=0.0)
