from functools import lru_cache

from pydantic import BaseModel, Field, PostgresDsn, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class PoolSettings(BaseModel):
    size: int = 8
    overflow: int = Field(default=4, ge=0)
    timeout: float = 30.0
    recycle: int = 1500


class DatabaseSettings(BaseModel):
    host: str = "localhost"
    port: int = 5432
    name: str = "orders"
    user: str = "orders"
    password: SecretStr = SecretStr("")
    echo: bool = False
    pool: PoolSettings = PoolSettings()

    @property
    def dsn(self) -> str:
        return str(
            PostgresDsn.build(
                scheme="postgresql+asyncpg",
                username=self.user,
                password=self.password.get_secret_value(),
                host=self.host,
                port=self.port,
                path=self.name,
            )
        )


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ORDERS_", env_nested_delimiter="__", extra="ignore")

    environment: str = "local"
    log_level: str = "INFO"
    database: DatabaseSettings = DatabaseSettings()


@lru_cache
def get_settings() -> Settings:
    return Settings()
