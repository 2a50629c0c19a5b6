"""Why a sample was or was not picked without task importance: its cluster, and its place in it."""

from components.explain.centrality import explain_by_centrality as explain

__all__ = ("explain",)
