"""The alert lab: rules, the series they are evaluated over, and how good they are."""
