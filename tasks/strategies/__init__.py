"""The stages of each strategy: `STAGES` of `tasks.strategies.NAME` has them in the order in which they run."""
