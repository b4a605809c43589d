"""The same work by others: contenders that also run on their own, `python -m benchmarks.rivals.NAME`."""
