"""What happened in production: the response log and feedback."""
