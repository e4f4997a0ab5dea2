"""What a finished pipeline found: figures, sentences about them, and the two laid out for a terminal or as Markdown.

from analognas.report import collect, render
collect(Paths.find())["winner"]["acc_1d"]      # percent, one day after programming
"""

from analognas.report.figures import OwnFigures, RunFigures, collect, own_figures
from analognas.report.layout import laid_out, markdown, render
from analognas.report.places import mlflow_page, where_to_look
from analognas.report.sentences import Column, Told, beside, column_of, of_own, told

__all__ = [
    "Column",
    "OwnFigures",
    "RunFigures",
    "Told",
    "beside",
    "collect",
    "column_of",
    "laid_out",
    "markdown",
    "mlflow_page",
    "of_own",
    "own_figures",
    "render",
    "told",
    "where_to_look",
]
