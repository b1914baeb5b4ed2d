"""What fails under load: databases, queues, processes, disks, connections."""
