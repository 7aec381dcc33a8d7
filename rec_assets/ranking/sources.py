"""The names of the candidate sources, and where each one's scores are kept while a list is made."""

from rec_assets.features import popularity

LISTED = (1, 2, 3, 4)  # half-lives whose most popular items are proposed
SUMMED = (  # sources that add up scores item by item, in the order of the scratch's rows
    "next",
    "next_lately",
    "item_knn",
    "item_knn_long",
    "session",
    "session_best",
    "neighbours",
    "neighbours_next",
    "own",
    "own_next",
    "own_around",
)
NEXT, NEXT_LATELY, ITEM_KNN, ITEM_KNN_LONG = range(4)
SESSION, SESSION_BEST, NEIGHBOURS, NEIGHBOURS_NEXT = range(4, 8)
OWN, OWN_NEXT, OWN_AROUND = range(8, len(SUMMED))
SOURCES = (*(f"popular_{popularity.NAMES[h]}" for h in LISTED), *SUMMED, "content", "encoder")
CONTENT, ENCODER = len(SOURCES) - 2, len(SOURCES) - 1
