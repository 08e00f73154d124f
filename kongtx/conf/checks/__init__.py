"""What values of properties must be together. Pure."""
