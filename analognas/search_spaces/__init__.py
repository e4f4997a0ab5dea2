"""Search spaces: what an architecture is, and which ones there are. Nothing here loads torch."""

from analognas.search_spaces.architecture import Architecture, SpaceId
from analognas.search_spaces.config_space import ConfigSpace
from analognas.search_spaces.family import Family
from analognas.search_spaces.genes import Genes
from analognas.search_spaces.hyperparameter import Hyperparameter
from analognas.search_spaces.structure import AnalogLayer, Structure

__all__ = [
    "AnalogLayer",
    "Architecture",
    "ConfigSpace",
    "Family",
    "Genes",
    "Hyperparameter",
    "SpaceId",
    "Structure",
]
