from archive.settings.common import *
from archive.settings.common import DATABASES

DATABASES["default"]["OPTIONS"] = {}
