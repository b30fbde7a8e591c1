from flask import Blueprint, render_template
from sqlalchemy import text

from shop import db

pages = Blueprint("pages", __name__)


@pages.get("/healthz")
def healthz():
    # Without the database: a full pool must not take the process out of the balancer.
    return "", 204


@pages.get("/articles/<int:number>")
def article(number: int):
    found = db.session.execute(
        text("SELECT title, price FROM articles WHERE id = :id"), {"id": number}
    ).one_or_404()
    return render_template("article.html", article=found)
