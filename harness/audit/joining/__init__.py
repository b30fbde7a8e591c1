"""Shares of files put together: which stand for one thing, what runs where, who reaches whom."""
