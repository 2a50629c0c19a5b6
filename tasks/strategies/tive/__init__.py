"""The stages of TIVE."""

from tasks.instruct import instruct_pool
from tasks.strategies.tive.gradients import gradients
from tasks.strategies.tive.influence import influence
from tasks.strategies.tive.tive_select import tive_select
from tasks.strategies.tive.warm_up import warm_up
from tasks.strategies.tive.warm_up_tune import warm_up_tune

STAGES = (instruct_pool, warm_up, warm_up_tune, gradients, influence, tive_select)
