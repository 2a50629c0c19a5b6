"""The report: one self-contained HTML page about one curation run."""
