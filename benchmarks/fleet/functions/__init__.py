"""The function of a real fleet."""
