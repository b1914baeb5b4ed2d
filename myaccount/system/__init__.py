"""What operating systems do in different ways, and cancellation, which libraries lose."""
