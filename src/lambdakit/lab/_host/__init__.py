"""What the lab asks of the operating system: processes, CPU shares, and a guard that ends what is left behind."""
