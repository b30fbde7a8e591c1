"""An audit as JSON: everything that was found, and what was not counted."""

from __future__ import annotations

from typing import Any

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.reviewing.review import Review
from harness.audit.reviewing.suppressions import Suppression
from harness.audit.rules.alternatives import at_once


def as_json(review: Review) -> dict[str, Any]:
    """``findings`` count; ``unknown`` are rules that could not tell; the rest is as it is named."""
    audit = review.audit
    return {
        "findings": [_finding(finding) for finding in review.findings],
        "unknown": [
            {
                "id": unknown.id,
                "file": unknown.place.file if unknown.place else None,
                "line": (unknown.place.line or None) if unknown.place else None,
                "needs": unknown.needs,
            }
            for unknown in audit.unknown
        ],
        "unread": [
            {"file": unread.file, "line": unread.line or None, "why": unread.why}
            for unread in audit.unread
        ],
        "files": list(audit.files),
        "suppressed": [
            {
                **_finding(each.finding),
                "reason": each.by.reason,
                "until": each.by.until.isoformat(),
                "suppression": {"file": each.by.place.file, "line": each.by.place.line or None},
            }
            for each in review.suppressed
        ],
        "known": [_finding(finding) for finding in review.known],
        "expired": [_suppression(each) for each in review.expired],
        "unused": [_suppression(each) for each in review.unused],
        "gone": [{"id": e.id, "file": e.file, "key": e.key or None} for e in review.gone],
        "passed_over": dict(audit.passed_over),
        "chains": [_counts(chain) for chain in audit.chains],
    }


def _counts(chain: Chain) -> dict[str, int]:
    """How much of a chain was found: with no pool, nothing was judged of pools.

    Of ``pools`` that exclude each other a workload makes one: ``pools_at_once`` counts that.
    """
    return {
        "gateways": len(chain.gateways),
        "workloads": len(chain.workloads),
        "pools": len(chain.pools()),
        "pools_at_once": at_once(chain),
        "poolers": len(chain.poolers),
        "servers": len(chain.servers),
        "alerts": len(chain.alerts),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "file": finding.place.file,
        "line": finding.place.line or None,
        "key": finding.place.key or None,
        "message": finding.message,
        "fix": finding.fix,
    }


def _suppression(each: Suppression) -> dict[str, Any]:
    return {
        "rules": sorted(each.rules),
        "until": each.until.isoformat(),
        "reason": each.reason,
        "file": each.place.file,
        "line": each.place.line or None,
    }
