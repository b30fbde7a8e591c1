"""Renders verdicts and recordings; never computes one, never writes a file."""

from harness.report.html import render_html
from harness.report.junit import render_junit
from harness.report.postmortem import render_postmortem
from harness.report.terminal import summary

__all__ = ["render_html", "render_junit", "render_postmortem", "summary"]
