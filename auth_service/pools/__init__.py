"""The pools the service can run on, one library a module, behind the interface in ``base``."""
