"""Many environments that start within seconds, against the quotas of the services that they call."""
