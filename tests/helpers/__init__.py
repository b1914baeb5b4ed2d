"""What tests use: servers, services, clients, checkers, and faults."""
