from flask import Blueprint, jsonify, request

from .extensions import db
from .models import Ticket

bp = Blueprint("tickets", __name__)


@bp.get("/")
def index():
    tickets = db.session.scalars(db.select(Ticket).where(Ticket.closed.is_(False)).limit(50))
    return jsonify([{"id": each.id, "subject": each.subject} for each in tickets])


@bp.post("/")
def create():
    ticket = Ticket(subject=request.json["subject"])
    db.session.add(ticket)
    db.session.commit()
    return jsonify({"id": ticket.id}), 201
