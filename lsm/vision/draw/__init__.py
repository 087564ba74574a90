"""Marked and found objects as pictures, galleries of errors, agreement of two sources, and pages of all that."""

from lsm.vision.draw.channels import as_rgb, how_shown
from lsm.vision.draw.confusion import NOT_MARKED, Agreed, CategoryAgreement, Confusion, confusion, detector_confusion
from lsm.vision.draw.figures import confusion_figure, counts_figure, save_figure, stages_figure
from lsm.vision.draw.gallery import Case, draw_gallery, worst
from lsm.vision.draw.page import Illustration, Page, Section, Table, render_page, write_page
from lsm.vision.draw.pairing import Pairs, pair_up
from lsm.vision.draw.pictures import Look, Picture, Told, draw_objects, draw_overlay, save_png
from lsm.vision.draw.report import Evaluation, annotators_page, evaluation_page, stages_page
from lsm.vision.draw.stages import StageCounts

__all__ = [
    "NOT_MARKED",
    "Agreed",
    "Case",
    "CategoryAgreement",
    "Confusion",
    "Evaluation",
    "Illustration",
    "Look",
    "Page",
    "Pairs",
    "Picture",
    "Section",
    "StageCounts",
    "Table",
    "Told",
    "annotators_page",
    "as_rgb",
    "confusion",
    "confusion_figure",
    "counts_figure",
    "detector_confusion",
    "draw_gallery",
    "draw_objects",
    "draw_overlay",
    "evaluation_page",
    "how_shown",
    "pair_up",
    "render_page",
    "save_figure",
    "save_png",
    "stages_figure",
    "stages_page",
    "worst",
    "write_page",
]
