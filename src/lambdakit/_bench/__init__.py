"""`lambdakit bench`: measures and traces a user's function in the lab, and says what lambdakit would change in it."""
