"""Bounded fuzzing, guided by coverage: what takes bytes of strangers is given bytes that nobody
would write. Each target says what must hold for any input."""
