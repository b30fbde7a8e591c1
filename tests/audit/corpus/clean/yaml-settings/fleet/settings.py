import os
from pathlib import Path

import yaml

settings = yaml.safe_load(Path("config", os.environ.get("STAGE", "production") + ".yaml").read_text())
