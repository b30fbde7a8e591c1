from celery import shared_task
from django.contrib.auth import get_user_model


@shared_task(ignore_result=True)
def welcome(user_id: int) -> None:
    user = get_user_model().objects.get(pk=user_id)
    user.email_user("Welcome", "Good to have you.")
