"""Settings of the small reader that the tests share."""

from lsm.agent.adaptive.readers import SetReaderConfig
from lsm.sensing.cells.exposure import PhotonBudget

SMALL = SetReaderConfig(
    channels=(8, 8), units=16, head=8, captures=3, epochs=20, cells=16, learning_rate=1e-2, dropout=0.1, aside=0.3
)
BUDGET = PhotonBudget(electrons=1500.0, flux_e_per_ms=100.0)
