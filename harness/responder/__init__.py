"""Plays the timeline: what the responders did and what befell the stack, when it happened.

`plan` is pure: the timeline as steps in replay time. `Responder` carries the due ones out and says
so in the recording, each with its beginning and its end.
"""

from harness.responder.actions import Clients
from harness.responder.plan import Step, plan
from harness.responder.responder import Responder

__all__ = ["Clients", "Responder", "Step", "plan"]
