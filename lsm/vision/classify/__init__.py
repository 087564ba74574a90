"""Cells named and counted from small images: crops of one cell for their class, tiles for how many there are.

    crops = read_folders(Path("cells"))  # cells/CLASS/*.png
    model = CropModel.of(crops)
    model.fit(crops)
    print(model.evaluate(others).as_table())

After Ferreira and Silveira, Sci. Rep. 14 (2024), doi 10.1038/s41598-024-59625-z, where cell lines are told apart and
counted: a plain convolutional network, a sharpening kernel before it, crops turned and scaled while it learns.
"""

from lsm.vision.classify.augment import COUNT_AUGMENT, NO_AUGMENT, CropAugmentConfig, augment
from lsm.vision.classify.crops import CropSet
from lsm.vision.classify.cut import cut_objects, cut_tiles
from lsm.vision.classify.folders import read_counts, read_folders
from lsm.vision.classify.model import CropFacts, CropModel, CropPredictions, CropRecord
from lsm.vision.classify.network import KERNELS, CropNetwork, CropNetworkConfig
from lsm.vision.classify.scores import (
    ClassScore,
    ClassScores,
    CountScores,
    CropScores,
    RocPoints,
    score_classes,
    score_counts,
)
from lsm.vision.classify.training import CropFitConfig

__all__ = [
    "COUNT_AUGMENT",
    "KERNELS",
    "NO_AUGMENT",
    "ClassScore",
    "ClassScores",
    "CountScores",
    "CropAugmentConfig",
    "CropFacts",
    "CropFitConfig",
    "CropModel",
    "CropNetwork",
    "CropNetworkConfig",
    "CropPredictions",
    "CropRecord",
    "CropScores",
    "CropSet",
    "RocPoints",
    "augment",
    "cut_objects",
    "cut_tiles",
    "read_counts",
    "read_folders",
    "score_classes",
    "score_counts",
]
