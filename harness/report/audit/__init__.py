"""An audit's findings: for a terminal, as JSON, SARIF and JUnit, and for GitHub."""
