"""A process beside the service that does something real, shows it, and harms no login.

It is started in the midst of a run, on the processors that the service runs on. Each kind
therefore imports only what it needs itself.
"""
