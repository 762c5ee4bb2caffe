"""`lambdakit bench`: what a function of the user's own costs in the lab, what it does there, what lambdakit changes."""
