"""Annotated fields under the microscope's light: imaged anew, searched by a detector that learnt with the light."""

from lsm.vision.field.joint import FieldModel, FieldTraining, counting_thresholds, train_fields
from lsm.vision.field.light import FieldLight, FieldLightConfig, annotated_fields, model_duty
from lsm.vision.field.phantoms import INFECTED, PhantomConfig, Phantoms
from lsm.vision.field.photographs import PhotographConfig, Photographs
from lsm.vision.field.render import Fields, FreshFields, LedFields, MarkedField, scene_stack
from lsm.vision.field.robustness import Disturbance, RobustnessRow, disturbed, robustness
from lsm.vision.field.scenes import Scene, Scenes
from lsm.vision.field.sensitivity import (
    Alarms,
    AtRate,
    Difference,
    InfectedScores,
    alarms,
    cells_needed,
    difference,
    infected_scores,
)

__all__ = [
    "INFECTED",
    "Alarms",
    "AtRate",
    "Difference",
    "Disturbance",
    "FieldLight",
    "FieldLightConfig",
    "FieldModel",
    "FieldTraining",
    "Fields",
    "FreshFields",
    "InfectedScores",
    "LedFields",
    "MarkedField",
    "PhantomConfig",
    "Phantoms",
    "PhotographConfig",
    "Photographs",
    "RobustnessRow",
    "Scene",
    "Scenes",
    "alarms",
    "annotated_fields",
    "cells_needed",
    "counting_thresholds",
    "difference",
    "disturbed",
    "infected_scores",
    "model_duty",
    "robustness",
    "scene_stack",
    "train_fields",
]
