"""The stages of the whole pool."""

from tasks.instruct_pool import instruct_pool
from tasks.strategies.full.full_select import full_select

STAGES = (instruct_pool, full_select)
