"""Benchmarks of diffrt_aot beside its rivals. Start with `python benchmarks/run.py`; see README.md."""
