import zope.sqlalchemy
from sqlalchemy import engine_from_config
from sqlalchemy.orm import sessionmaker


def includeme(config):
    settings = config.get_settings()
    factory = sessionmaker()
    factory.configure(bind=engine_from_config(settings, prefix="sqlalchemy."))

    def session(request):
        made = factory()
        zope.sqlalchemy.register(made, transaction_manager=request.tm)
        return made

    config.include("pyramid_tm")
    config.add_request_method(session, "dbsession", reify=True)
