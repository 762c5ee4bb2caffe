"""What lambdakit is worth: claims, each measured against a control in fresh processes."""
