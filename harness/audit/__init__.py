"""The configuration audit: what people have in their files, joined into one chain, and what breaks.

`audit_files` reads, joins and judges. Loaders know files and no rules, rules know the chain and no
files: between them stands `chain`, in which every value has its place or the reason why it is
unknown.
"""

from harness.audit.auditing import Audit as Audit
from harness.audit.auditing import audit_files as audit_files
from harness.audit.chain import Declared as Declared
from harness.audit.finding import SEVERITIES as SEVERITIES
from harness.audit.finding import Finding as Finding
from harness.audit.finding import Severity as Severity
