"""The stages of PreSel without task importance."""

from tasks.cluster import cluster
from tasks.embed import embed
from tasks.strategies.size_balanced.allocate import size_balanced_allocate
from tasks.strategies.size_balanced.select import size_balanced_select

STAGES = (embed, cluster, size_balanced_allocate, size_balanced_select)
