"""The demo pool and the embedded models: how they are drawn and trained."""
