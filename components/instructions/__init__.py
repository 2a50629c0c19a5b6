"""Where instructions come from, what they cost, and the ledger that remembers both."""
