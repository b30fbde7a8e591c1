import os


class Config:
    SQLALCHEMY_DATABASE_URI = os.environ.get("DATABASE_URL", "sqlite://")
    SQLALCHEMY_ENGINE_OPTIONS: dict = {}
    SECRET_KEY = os.environ.get("SECRET_KEY", "change-me")


class ProductionConfig(Config):
    # 6 x 2 x 6 = 72 connections, 84 while a task is replaced
    SQLALCHEMY_ENGINE_OPTIONS = {
        "pool_size": 4,
        "max_overflow": 2,
        "pool_timeout": 2.5,
        "pool_recycle": 1800,
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": 3},
    }


class TestConfig(Config):
    TESTING = True
    SQLALCHEMY_DATABASE_URI = "sqlite://"
