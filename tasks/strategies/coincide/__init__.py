"""The stages of COINCIDE."""

from tasks.instruct import instruct_pool
from tasks.strategies.coincide.activations import activations
from tasks.strategies.coincide.coincide_select import coincide_select
from tasks.strategies.coincide.concept_shares import concept_shares
from tasks.strategies.coincide.concepts import concepts

STAGES = (instruct_pool, activations, concepts, concept_shares, coincide_select)
