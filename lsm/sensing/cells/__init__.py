"""Light learned on single cells: stacks of one image per cell and lamp, and what is learned from them."""

from lsm.sensing.cells.build import CellStackConfig, build_cell_stack, compute_cell_stack
from lsm.sensing.cells.cellfile import read_cells, write_cells
from lsm.sensing.cells.sources import from_bsccm, from_paper_arrays, from_recovered, from_smears
from lsm.sensing.cells.stack import CellStack

__all__ = [
    "CellStack",
    "CellStackConfig",
    "build_cell_stack",
    "compute_cell_stack",
    "from_bsccm",
    "from_paper_arrays",
    "from_recovered",
    "from_smears",
    "read_cells",
    "write_cells",
]
