from pydantic import Field, PostgresDsn, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_", env_file=".env", extra="ignore")

    database_url: PostgresDsn
    session_secret: SecretStr
    db_pool_size: int = 5
    db_max_overflow: int = 0
    db_pool_timeout: float = 2.0
    db_pool_recycle: int = Field(default=1500, gt=0)
    db_connect_timeout: float = 3.0
    log_level: str = "INFO"


settings = Settings()
