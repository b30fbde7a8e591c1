import falcon

from library.db import Session
from sqlalchemy import text


class SessionMiddleware:
    def process_resource(self, req, resp, resource, params):
        req.context.session = Session()

    def process_response(self, req, resp, resource, succeeded):
        Session.remove()


class Books:
    def on_get(self, req, resp):
        rows = req.context.session.execute(text("select title from book limit 20"))
        resp.media = [row.title for row in rows]


application = falcon.App(middleware=[SessionMiddleware()])
application.add_route("/books", Books())
