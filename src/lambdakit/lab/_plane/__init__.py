"""The control plane: which functions are deployed, the Invoke API before them, how many invocations run at once."""
