"""What is sent to an authorization server and what its responses mean. No sockets, no clock, no store."""
