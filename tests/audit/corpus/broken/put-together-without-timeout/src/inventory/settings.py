from pydantic import AnyUrl, computed_field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_prefix="INV_")

    PG_SERVER: str = "127.0.0.1"
    PG_PORT: int = 5432
    PG_DB: str = "inventory"
    PG_USER: str = "inventory"
    PG_PASSWORD: str = "change-me"
    DB_POOL_SIZE: int = 10
    DB_MAX_OVERFLOW: int = 2
    DB_POOL_TIMEOUT: int = 3
    THREADS: int = 24

    @computed_field
    @property
    def SQLALCHEMY_DATABASE_URI(self) -> str:
        return (
            f"postgresql+psycopg://{self.PG_USER}:{self.PG_PASSWORD}"
            f"@{self.PG_SERVER}:{self.PG_PORT}/{self.PG_DB}"
        )


settings = Settings()
