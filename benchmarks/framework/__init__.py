"""How effects are measured: claims, processes, sampling, statistics, the command and its output."""
