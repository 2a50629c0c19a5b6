"""Provider `batch`: files of requests that are handed in and collected."""
