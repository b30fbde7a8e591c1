from archive.settings.common import *
from archive.settings.common import DATABASES

DEBUG = False
DATABASES["default"].update({"CONN_MAX_AGE": 0, "DISABLE_SERVER_SIDE_CURSORS": True})
