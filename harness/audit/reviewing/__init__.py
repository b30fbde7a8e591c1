"""What somebody wants to see of an audit: all of it, what is new, what is not accepted yet."""
