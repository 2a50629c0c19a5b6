"""The ledger: every request and every send, written before it goes out and durably after."""
