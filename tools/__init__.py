"""Tools that write what is generated and committed; a test compares each with what its tool would write."""
