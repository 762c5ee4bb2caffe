"""Scripts that run in a fresh process, by their path: nothing of this package is loaded there."""
