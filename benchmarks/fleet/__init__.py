"""Many environments that start within seconds, against the limits of the services that they all ask."""
