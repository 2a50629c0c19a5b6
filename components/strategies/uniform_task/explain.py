"""Why a sample was or was not drawn from its task: by its chance."""

from components.explain.selected import explain_drawn as explain

__all__ = ("explain",)
