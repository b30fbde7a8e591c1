import os
import smtplib
from email.message import EmailMessage


def send(recipient: str, body: str) -> None:
    message = EmailMessage()
    message["To"], message["From"] = recipient, "post@example.com"
    message.set_content(body)
    with smtplib.SMTP(os.environ["RELAY_HOST"], timeout=10) as relay:
        relay.send_message(message)
