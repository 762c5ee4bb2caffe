"""Functions that effects deploy in the lab."""
