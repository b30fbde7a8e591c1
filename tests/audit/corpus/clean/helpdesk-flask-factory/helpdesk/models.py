from .extensions import db


class Ticket(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    subject = db.Column(db.String(200), nullable=False)
    closed = db.Column(db.Boolean, default=False)
