"""The stages of PreSel."""

from tasks.cluster import cluster
from tasks.embed import embed
from tasks.strategies.presel.allocate import allocate
from tasks.strategies.presel.instruct_reference import instruct_reference
from tasks.strategies.presel.reference import reference
from tasks.strategies.presel.reference_tune import reference_tune
from tasks.strategies.presel.score import score
from tasks.strategies.presel.select import select

STAGES = (embed, reference, instruct_reference, reference_tune, score, cluster, allocate, select)
