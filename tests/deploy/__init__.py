"""The ways to start, serve, watch and stop the service, each as a process."""
