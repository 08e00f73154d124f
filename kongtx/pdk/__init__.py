"""What plugins see of a request and of the node."""
