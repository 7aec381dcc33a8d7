"""From the live state to a list: candidate sources, the features of what they propose, and the ranks of what was
chosen.

Every source is a pure score over the state, known before the event it is asked about.
"""

from rec_assets.ranking.features import CONTEXT, FEATURES
from rec_assets.ranking.propose import Candidates, Query, propose, recommend, walk
from rec_assets.ranking.sources import SOURCES

__all__ = ["CONTEXT", "FEATURES", "SOURCES", "Candidates", "Query", "propose", "recommend", "walk"]
