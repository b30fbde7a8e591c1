"""The edge: one process that spreads users over the replicas, as a sticky reverse proxy does.

It holds no queue of its own: a request that is let in goes to its replica at once, so that a
replica that runs out of pooled connections shows its own queue. What it decides is in pure modules
(``rendezvous``, ``routing``, ``shedding``, ``state``, ``headers``); ``app`` forwards, ``control``
changes the state.
"""
