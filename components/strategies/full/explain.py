"""Why a sample was taken: all are."""

from components.explain.selected import explain_drawn as explain

__all__ = ("explain",)
